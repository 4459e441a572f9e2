"""A whole experiment over SSH, with a real server of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

import sweeprl
from sweeprl import TrialConfig
from sweeprl.launcher import TrialFolder
from sweeprl.nni import create, watch, write_experiment
from sweeprl.nni.reading.listing import find
from sweeprl.nni.writing.platforms import Machine, Remote
from tests.nni.checking import SPACE, check_parameters, labels
from tests.nni.folders import free_port

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")

PYTHON = """\
#!/bin/sh
[ "$1 $2" = "-m pip" ] && exit 0  # NNI would upgrade itself
export PYTHONPATH="{package}" OMP_NUM_THREADS=1
exec "{python}" "$@"
"""

TRIAL = """\
import os, sys

if os.environ["NNI_TRIAL_SEQ_ID"] == "0":
    sys.exit(3)  # before it has taken its parameters, which NNI gives to the next one
command = [sys.executable, "-m", "sweeprl", "run", "--config", "base.json"]
os.execv(command[0], command)
"""

pytestmark = [
    pytest.mark.skipif(SSHD is None, reason="there is no sshd; install openssh-server"),
    pytest.mark.skipif(version("nni").startswith("2."), reason="NNI 2 uses a folder in /tmp"),
]


@pytest.fixture
def machine(tmp_path):
    """Where the machine's home is, and what an experiment is told of it."""
    folder = tmp_path / "machine"
    for part in ("home", "bin"):
        (folder / part).mkdir(parents=True)
    for key in ("host", "user"):
        generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(generate, check=True)
    python = folder / "bin" / "python"
    package = Path(sweeprl.__file__).parents[1]
    python.write_text(PYTHON.format(package=package, python=sys.executable))
    python.chmod(0o755)
    port = free_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "Subsystem": "sftp internal-sftp",
        "SetEnv": f"HOME={folder / 'home'}",
    }
    lines = [f"{name} {value}\n" for name, value in settings.items()]
    (folder / "sshd_config").write_text("".join(lines))
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"])
    user = subprocess.check_output(["id", "-un"], text=True).strip()
    time.sleep(0.5)
    if server.poll() is not None:
        pytest.skip("sshd does not run here; as root it needs the folder /run/sshd")
    remote = Remote([Machine(user, "127.0.0.1", port)], str(python.parent), str(folder / "user"))
    yield folder / "home", remote
    server.terminate()
    server.wait()


@pytest.mark.parametrize("concurrency, num_failed", [(1, 1), (2, 0)])
def test_trials_over_ssh_train_with_their_own_parameters(
    home, machine, small_config, tmp_path, concurrency, num_failed
):
    machine_home, remote = machine
    base = TrialConfig.of({**small_config("DQN"), "max_env_steps": 300})
    folder = tmp_path / "experiment"
    files = write_experiment(
        base, folder, SPACE, tuner="Random", trials=3, concurrency=concurrency, remote=remote
    )
    if num_failed:
        (folder / "trial.py").write_text(TRIAL)
        written = yaml.safe_load(files.config.read_text()) | {"trialCommand": "python trial.py"}
        files.config.write_text(yaml.safe_dump(written))
    experiment = find(create(folder, free_port()))
    assert experiment.is_remote
    seen: dict[str, dict] = {}

    def look() -> bool:
        seen.update(labels(experiment))
        return False

    outcome = watch(experiment.id, print, should_stop=look)
    assert outcome.status == "done"
    assert outcome.trials.startswith("3 trials: 1 failed, 2" if num_failed else "3 trials: 3")
    trained = {path.parent.name: path.parent for path in machine_home.rglob("nni.json")}
    assert len(trained) == 3 - num_failed
    for name, trial in trained.items():
        kept = check_parameters(trial)
        assert kept.proposal == seen[name]
        assert kept.is_final_delivered
        assert TrialFolder(trial).load_record().status == "finished"
