"""NNI experiments: created confined, resumed and stopped."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from sweeprl.errors import ConfigError, SweepFailed
from sweeprl.nni.confinement import LOOPBACK, LOOPBACK_NAMES, UMASK, confined_environment
from sweeprl.nni.reading.listing import Experiment, find, nni_home
from sweeprl.nni.running.processes import end_orderly, end_processes, find_processes
from sweeprl.nni.running.resuming import prepare_resume
from sweeprl.nni.writing.gpus import check_gpus
from sweeprl.nni.writing.platforms import Machine, check_concurrency, tunnel_command
from sweeprl.nni.writing.secrets import check_no_password

__all__ = ["create", "resume", "revive", "stop"]

_FIRST_PORT = 8080
_START_SECONDS = 60.0


def create(folder: str | Path, port: int | None = None) -> str:
    """Starts the experiment of a folder such that only this machine reaches it.

    Not only this user: whoever has an account on this machine can connect to the port, and NNI asks
    for no password before it reads files and runs code as the user.

    Args:
        folder: with `config.yml`, as `sweeprl nni-config` writes it.
        port: of the web page; the first free one from 8080 on by default. It must be given where
            trials are on other machines, since tunnels lead to it.

    Returns:
        The experiment's ID. It runs on its own from now on; `sweeprl.nni.watch` looks after it.

    Raises:
        ConfigError: something is wrong with the folder, its config or the port.
        SweepFailed: NNI did not start it.
    """
    config = Path(folder).resolve() / "config.yml"
    _check(config, port)
    return _start("create", str(config), port=port)


def resume(experiment_id: str, port: int | None = None) -> str:
    """Goes on with an experiment that was stopped, or whose manager broke down.

    What is left of its processes is ended first, trials with a checkpoint: they would fight with
    the new ones. A seeded tuner of NNI's gets another seed, since it would repeat its suggestions.

    Args:
        experiment_id: as `create` returned it.
        port: of the web page; the same as before by default, where it is free.

    Raises:
        ConfigError: there is no such experiment, or it runs.
        SweepFailed: NNI did not start it.
    """
    with _resuming(find(experiment_id)):
        experiment = find(experiment_id)
        if find_processes(experiment_id).managers and experiment.is_running:
            raise ConfigError(
                f"Only an experiment that does not run can be resumed, but '{experiment_id}' runs "
                f"at {experiment.address}. Stop it with: sweeprl nni stop {experiment_id}"
            )
        end_processes(experiment_id)
        return _resume(experiment, port)


def revive(broken: Experiment) -> bool:
    """Resumes an experiment that has broken down, whatever of it still runs.

    Args:
        broken: as it was found when it began.

    Returns:
        Whether it was done; not where somebody else has resumed it since.

    Raises:
        ConfigError: it has no database.
        SweepFailed: NNI did not start it.
    """
    with _resuming(broken):
        if find(broken.id).began_at != broken.began_at:
            return False
        end_orderly(broken)  # a manager may run, while its tuner is dead
        _resume(find(broken.id), None)
        return True


@contextmanager
def _resuming(experiment: Experiment) -> Iterator[None]:
    """One at a time: a user's and the watchdog's would end each other's fresh manager."""
    with FileLock(experiment.folder / "resume.lock", mode=0o600):
        yield


def _resume(experiment: Experiment, port: int | None) -> str:
    prepare_resume(experiment.folder)
    if port is None and experiment.port and (experiment.is_remote or _is_free(experiment.port)):
        port = experiment.port
    return _start("resume", experiment.id, port=port, last=str(experiment.folder.parent))


def stop(experiment_id: str) -> None:
    """Stops an experiment such that it can be resumed: trials save their checkpoints.

    Raises:
        ConfigError: there is no such experiment.
    """
    end_orderly(find(experiment_id))


def _check(config: Path, port: int | None) -> None:
    if not config.is_file():
        raise ConfigError(
            f"An experiment's folder must hold a config.yml, but '{config}' does not exist. "
            "Write one with: sweeprl nni-config"
        )
    try:
        content = yaml.safe_load(config.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"'{config}' must be YAML, but is not: {error}") from None
    if not isinstance(content, dict) or "trainingServicePlatform" in content:
        raise ConfigError(
            f"'{config}' must be a config of NNI's second format, with `trainingService:` for "
            "example, but is not. Write one with: sweeprl nni-config"
        )
    _check_reachable(content, port)
    check_concurrency(content)
    check_gpus(content)
    tuner = content.get("tuner")
    arguments = tuner.get("classArgs") if isinstance(tuner, dict) else None
    if isinstance(arguments, dict):  # NNI itself refuses anything else
        check_no_password(arguments)


def _check_reachable(content: dict[str, Any], port: int | None) -> None:
    """Trials on other machines report through a tunnel."""
    service = content.get("trainingService")
    platform = service.get("platform") if isinstance(service, dict) else None
    address = content.get("nniManagerIp")
    if platform in (None, "local"):
        return
    tunnel = tunnel_command(Machine("USER", "HOST"), port or _FIRST_PORT)
    if address not in LOOPBACK_NAMES:
        raise ConfigError(
            "`nniManagerIp: 127.0.0.1` must hold where trials are on other machines, since the "
            f"manager is heard on this one only, but got {address}. Set it, choose a --port, and "
            f"lead it there with: {tunnel}"
        )
    if port is None:
        raise ConfigError(
            "A port must be given where trials are on other machines, since a tunnel leads to it, "
            f"but got none. Add --port {_FIRST_PORT}, and for each machine keep running: {tunnel}"
        )


def _start(action: str, what: str, *, port: int | None, last: str | None = None) -> str:
    nni_home().mkdir(mode=0o777 & ~UMASK, exist_ok=True)
    with FileLock(nni_home() / ".sweeprl-start.lock", mode=0o600):  # two would choose the same port
        chosen = _free_port() if port is None else _checked_port(port)
        arguments = [action, what, str(chosen), *([last] if last else [])]
        answer = _run_starter(arguments)
    if "refused" in answer:
        raise ConfigError(f"'{what}' is not what NNI reads: {answer['refused']}")
    if "failed" in answer:
        end_processes(answer["id"])
        raise SweepFailed(f"NNI did not start '{what}': {answer['failed']}")
    _await_start(find(answer["id"]))
    return answer["id"]


def _run_starter(arguments: list[str]) -> dict[str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "sweeprl.nni.running.starting", *arguments],
        env=confined_environment(os.environ),
        umask=UMASK,
        start_new_session=True,  # neither Ctrl-C nor the terminal's end is for the manager
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise SweepFailed(f"NNI did not start anything:\n{ended.stderr.strip()}")
    answer: dict[str, str] = json.loads(ended.stdout.rstrip().rpartition("\n")[2])
    return answer


def _await_start(experiment: Experiment) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if not find_processes(experiment.id).managers:
            break
        try:
            status, _ = experiment.manager.status()
        except OSError:
            status = "INITIALIZED"
        if status not in ("INITIALIZED", "ERROR"):
            return
        time.sleep(0.2)
    end_processes(experiment.id)
    raise SweepFailed(
        f"Experiment '{experiment.id}' did not begin: {experiment.reason or 'no reason is logged'}."
        f" Its logs are in {experiment.folder / 'log'}"
    )


def _free_port() -> int:
    return next(port for port in range(_FIRST_PORT, 65_536) if _is_free(port))


def _checked_port(port: int) -> int:
    if not _is_free(port):
        raise ConfigError(
            f"The port must be free, but something listens on {port}. Give another one, or none "
            "to have one chosen."
        )
    return port


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
