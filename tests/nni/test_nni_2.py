"""Whole experiments with NNI 2.10.1, laid over the NNI that is installed."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import sweeprl
from sweeprl import TrialConfig
from sweeprl.cli.reading import read_sweep
from sweeprl.config import check_applied
from sweeprl.launcher import TrialFolder
from sweeprl.nni import write_experiment
from sweeprl.nni.running.processes import find_processes
from tests.nni.checking import SPACE, Watchman, check_parameters
from tests.nni.folders import free_port, let_one_crash_and_one_be_pruned

PACKAGES = ["nni==2.10.1", "typeguard==2.13.3"]


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """A folder with what 2.10.1 needs in place of what is installed."""
    folder = tmp_path_factory.mktemp("nni_2")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    ended = subprocess.run(
        [*command, str(folder), *PACKAGES], capture_output=True, text=True, check=False
    )
    if ended.returncode != 0:
        pytest.skip(f"pip could not install {PACKAGES}: {ended.stderr.strip()[-300:]}")
    return folder


@pytest.fixture
def environ(home, packages) -> dict[str, str]:
    """In which Python finds 2.10.1 first, and this sweeprl."""
    paths = [str(packages), str(Path(sweeprl.__file__).parents[1])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def jobs_of(folder: Path) -> dict[str, tuple[str, dict]]:
    """The last state of each trial in NNI's database, and the parameters that it shows."""
    found: dict[str, tuple[str, dict]] = {}
    with closing(sqlite3.connect(folder / "db" / "nni.sqlite")) as database:
        events = database.execute("select trialJobId, event, data from TrialJobEvent").fetchall()
    for trial, event, data in events:
        before = found.get(trial, ("", {}))[1]
        params = json.loads(data)["parameters"] if data else before
        found[trial] = (event, params)
    return found


def created(folder: Path, environ: dict[str, str]) -> str:
    """Runs an experiment to its end; returns what was said."""
    command = [sys.executable, "-m", "sweeprl", "nni", "create", str(folder)]
    ended = subprocess.run(
        [*command, "--port", str(free_port())],
        env=environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_trials_train_with_their_own_parameters(environ, home, small_config, tmp_path):
    base = TrialConfig.of({**small_config("DQN"), "report_every_env_steps": 100})
    folder = tmp_path / "experiment"
    write_experiment(base, folder, SPACE, tuner="Random", trials=3, concurrency=2)
    said = created(folder, environ)
    assert "3 trials: 3 succeeded" in said
    experiment = home / "nni-experiments" / re.search(r"experiment +(\w+)", said)[1]
    assert "2.10.1" in subprocess.check_output(
        [sys.executable, "-c", "import nni; print(nni.__version__)"], env=environ, text=True
    )
    jobs = jobs_of(experiment)
    assert [event for event, _ in jobs.values()] == ["SUCCEEDED"] * 3
    for trial, (_, shown) in jobs.items():
        own = experiment / "trials" / trial
        kept = check_parameters(own)
        assert kept.proposal == shown
        assert kept.is_final_delivered
        assert [at for at, _ in kept.reports] == [100, 200, 300, 400, 500, 600]
        assert TrialFolder(own).load_record().status == "finished"
    assert len({shown["learning_rate"] for _, shown in jobs.values()}) == 3


def test_optuna_proposes_and_prunes(environ, home, small_config, tmp_path):
    plain = {**small_config("DQN"), "report_every_env_steps": 250, "max_env_steps": 4000}
    folder = tmp_path / "experiment"
    write_experiment(
        TrialConfig.of(plain), folder, SPACE, tuner="Optuna", assessor="Optuna", trials=5
    )
    let_one_crash_and_one_be_pruned(folder)
    watchman = Watchman(home)
    watchman.start()
    said = created(folder, environ)
    watchman.is_over.set()
    watchman.join()
    assert "5 trials: 1 failed, 1 stopped, 3 succeeded" in said
    assert watchman.addresses == {"127.0.0.1"}
    identity = re.search(r"experiment +(\w+)", said)[1]
    assert not find_processes(identity)
    experiment = home / "nni-experiments" / identity
    ends = sorted(event for event, _ in jobs_of(experiment).values())
    assert ends == ["EARLY_STOPPED", "FAILED", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]
    reading = read_sweep(experiment / "sweep")
    states = {entry.number: entry.state for entry in reading.search}
    assert states == {0: "finished", 1: "failed", 2: "pruned", 3: "finished", 4: "finished"}
    for entry in reading.search:
        own = TrialFolder(reading.folder_of(entry))
        assert own.record.exists() == (entry.state != "failed")
        if own.record.exists():
            check_applied(own.load_config(), entry.params)
