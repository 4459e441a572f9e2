"""Where the trials of an experiment run: on this machine, or on others over SSH.

https://nni.readthedocs.io/en/stable/reference/experiment_config.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any

from sweeprl.errors import ConfigError
from sweeprl.nni.confinement import LOOPBACK
from sweeprl.nni.writing.gpus import Gpus

__all__ = ["Machine", "Remote", "check_concurrency", "platform_section", "tunnel_command"]

_MACHINE = re.compile(r"(?P<user>[^@\s]+)@(?P<host>[^@:\s]+|\[[^\]\s]+\])(:(?P<port>\d{1,5}))?")
_INTERPRETER = re.compile(r"python[\d.]*")


@dataclass(frozen=True)
class Machine:
    """Another machine.

    Args:
        user: who logs in there.
        host: its name or address.
        port: of its SSH server.
    """

    user: str
    host: str
    port: int = 22

    @classmethod
    def of(cls, text: str) -> Machine:
        """Reads `user@host` or `user@host:port`.

        Raises:
            ConfigError: it is something else.

        >>> Machine.of("ada@gpu1:2222")
        Machine(user='ada', host='gpu1', port=2222)
        """
        match = _MACHINE.fullmatch(text.strip())
        port = int(match["port"] or 22) if match else 0
        if match is None or not 0 < port < 2**16:
            raise ConfigError(
                f"A machine must be user@host or user@host:port, but got '{text}'. "
                "Write ada@gpu1:2222 for example."
            )
        return cls(match["user"], match["host"].strip("[]"), port)


@dataclass(frozen=True)
class Remote:
    """Trials on other machines.

    Args:
        machines: where, in turn.
        python_dir: the folder there that holds `python`, with sweeprl installed: `/venv/bin`.
        ssh_key: file of the private key that lets NNI log in.
    """

    machines: Sequence[Machine]
    python_dir: str
    ssh_key: str = "~/.ssh/id_ed25519"

    def check(self) -> None:
        """Refuses what NNI would stumble over.

        Raises:
            ConfigError: naming the rule.
        """
        path = PurePosixPath(self.python_dir)
        if not path.is_absolute() or _INTERPRETER.fullmatch(path.name):
            raise ConfigError(
                "The machines' Python must be given as the absolute path of the folder that holds "
                f"it, such as /home/ada/venv/bin, but got '{self.python_dir}'."
            )

    def section(self, gpus: Gpus) -> dict[str, Any]:
        """What a config.yml says of them."""
        return {
            "platform": "remote",
            # NNI 2's other mode runs one trial at a time on each machine.
            "reuseMode": False,
            "machineList": [
                {
                    "host": machine.host,
                    "port": machine.port,
                    "user": machine.user,
                    "sshKeyFile": self.ssh_key,
                    "pythonPath": self.python_dir,
                    **gpus.section(),
                }
                for machine in self.machines
            ],
        }


def platform_section(remote: Remote | None, gpus: Gpus) -> dict[str, Any]:
    """Returns what a config.yml says of where its trials run.

    Args:
        remote: other machines; None is this one.
        gpus: what each trial gets of them.

    Raises:
        ConfigError: something there cannot be.
    """
    gpus.check()
    number = {} if gpus.per_trial is None else {"trialGpuNumber": gpus.per_trial}
    if remote is None:
        return {**number, "trainingService": {"platform": "local", **gpus.section()}}
    remote.check()
    # The manager is heard on its own machine only; a tunnel leads there.
    return {**number, "nniManagerIp": LOOPBACK, "trainingService": remote.section(gpus)}


def check_concurrency(content: Mapping[str, Any]) -> None:
    """Refuses several trials at a time on other machines with NNI 3, unless they are sweeprl's.

    Those ask the manager for their own parameters.

    Args:
        content: of a config.yml.

    Raises:
        ConfigError: trials would be given each other's parameters.
    """
    if "sweeprl run " in str(content.get("trialCommand", "")):
        return
    service, concurrency = content.get("trainingService"), content.get("trialConcurrency", 1)
    platform = service.get("platform") if isinstance(service, Mapping) else None
    if platform in (None, "local") or concurrency == 1 or version("nni").startswith("2."):
        return
    raise ConfigError(
        f"With nni {version('nni')} only one trial at a time may run on other machines, since it "
        f"gives trials that run at once each other's parameters, but got a concurrency of "
        f"{concurrency}. Set it to 1, use the trial command `python -m sweeprl run --config "
        "base.json`, which asks for its own ones, or install a version that does not, here and on "
        "the machines: pip install 'nni==2.10.1'"
    )


def tunnel_command(machine: Machine, port: int, ssh_key: str | None = None) -> str:
    """Returns the command that leads a machine's trials to the manager, which they report to.

    NNI 3 is asked at the port of its web page, NNI 2 at the next one.

    >>> tunnel_command(Machine("ada", "gpu1"), 8080).replace("8081", "8080")
    'ssh -N -R 8080:127.0.0.1:8080 ada@gpu1'
    """
    asked = port + 1 if version("nni").startswith("2.") else port
    key = "" if ssh_key is None else f"-i {ssh_key} "
    other = "" if machine.port == 22 else f"-p {machine.port} "
    where = f"{machine.user}@{machine.host}"
    return f"ssh -N {key}{other}-R {asked}:{LOOPBACK}:{asked} {where}"
