"""An experiment from nni_configs/, as it is but for its size, with the real NNI."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sweeprl.config import check_applied
from sweeprl.launcher import TrialFolder
from sweeprl.nni import create, stop, watch
from sweeprl.nni.confinement import confined_environment
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.reading.listing import find
from sweeprl.nni.running.processes import find_processes
from sweeprl.trials.nni import NNITrialFile
from tests.nni.checking import Watchman, listeners
from tests.nni.folders import change, copy_ready, free_port, read, with_own_python

STEPS, EVERY, TRIALS = 1200, 400, 2


def small_copy_of(name: str, folder: Path, trials: int = TRIALS) -> Path:
    """An experiment with a few short trials; all else is left as it is."""
    copy_ready(name, folder)
    change(folder / "base.json", max_env_steps=STEPS, report_every_env_steps=EVERY)
    assert read(folder / "config.yml")["trialConcurrency"] == 2
    change(folder / "config.yml", maxTrialNumber=trials)
    return folder


@pytest.fixture
def small_copy(tmp_path) -> Path:
    return small_copy_of("dqn-tpe", tmp_path / "dqn-tpe")


def test_a_ready_experiment_trains_what_it_proposes_and_listens_on_loopback_only(home, small_copy):
    watchman = Watchman(home)
    watchman.start()
    environ = with_own_python(os.environ)
    command = ["sweeprl", "nni", "create", small_copy, "--port", str(free_port())]
    ended = subprocess.run(
        [sys.executable, "-m", *command], env=environ, capture_output=True, text=True, timeout=300
    )
    watchman.is_over.set()
    watchman.join()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{TRIALS} trials: {TRIALS} succeeded" in ended.stdout
    assert watchman.addresses == {"127.0.0.1"}
    assert watchman.most_trials == TRIALS  # at once
    found = re.search(r"experiment +(\w+)", ended.stdout)
    assert found is not None
    assert not find_processes(found[1])
    check_trials(home / "nni-experiments" / found[1])


def test_a_population_trains_its_agents_on(home, tmp_path, monkeypatch):
    folder = small_copy_of("dqn-pbt", tmp_path / "dqn-pbt", trials=4)
    tuner = read(folder / "config.yml")["tuner"]
    tuner["classArgs"]["population_size"] = 2
    change(folder / "config.yml", tuner=tuner)
    settings = read(folder / "base.json")["frame_config"]
    change(folder / "base.json", frame_config={**settings, "warmup_steps": 100})
    space = read(folder / "search_space.json")
    del space["warmup_steps"]  # of as many steps as a trial has here
    (folder / "search_space.json").write_text(json.dumps(space))
    monkeypatch.setenv("PATH", with_own_python(os.environ)["PATH"])
    experiment = find(create(folder, free_port()))
    outcome = watch(experiment.id, print)
    assert outcome.status == "done"
    assert outcome.trials.startswith("4 trials: 4 succeeded")
    proposals = [job.proposal for job in ExperimentDatabase(experiment.folder).jobs()]
    pairs = [
        [
            Path(proposal[key]) / "last.ckpt"
            for key in ("load_checkpoint_dir", "save_checkpoint_dir")
        ]
        for proposal in proposals
    ]
    went_on = [(parent, own) for parent, own in pairs if parent != own]
    assert len(went_on) == 2
    for parent, own in went_on:
        assert 0 < num_updates(parent) < num_updates(own)


def num_updates(checkpoint: Path) -> int:
    return torch.load(checkpoint, weights_only=True)["learner"]["counts"][1]


API = """\
import sys
from nni.experiment import Experiment, RunMode
from nni.experiment.config import ExperimentConfig
from sweeprl.nni import confined

with confined():
    experiment = Experiment(ExperimentConfig.load(sys.argv[1]))
    experiment.start(int(sys.argv[2]), run_mode=RunMode.Detach)
"""


@pytest.mark.parametrize("how", ["nnictl", "NNI's own API"])
def test_nnis_own_ways_run_the_same_folder(home, small_copy, how):
    config, port = str(small_copy / "config.yml"), str(free_port())
    if how == "nnictl":  # what it lacks by itself is tested elsewhere
        nnictl = Path(sys.executable).with_name("nnictl")
        command = [str(nnictl), "create", "--config", config, "--port", port]
        environ = confined_environment(os.environ)
    else:
        command, environ = [sys.executable, "-c", API, config, port], dict(os.environ)
    subprocess.run(command, env=with_own_python(environ), check=True, timeout=120)
    databases = (home / "nni-experiments").glob("*/db")  # `_latest` is a link to one of them
    (experiment,) = {find(database.parent.resolve().name) for database in databases}
    try:
        assert listeners(find_processes(experiment.id)) == [f"127.0.0.1:{port}"]
        give_up_at = time.monotonic() + 200
        while experiment.manager.status()[0] != "DONE":
            assert time.monotonic() < give_up_at
            time.sleep(0.5)
    finally:
        stop(experiment.id)
    assert not find_processes(experiment.id)
    check_trials(experiment.folder)


def check_trials(experiment: Path) -> None:
    """All have succeeded, with the parameters that the tuner proposed for them."""
    jobs = ExperimentDatabase(experiment).jobs()
    assert [job.status for job in jobs] == ["SUCCEEDED"] * TRIALS
    for job in jobs:
        kept = NNITrialFile.load(job.folder)
        assert kept is not None
        assert kept.proposal == job.label
        assert job.final == kept.final == TrialFolder(job.folder).load_record().score
        assert list(job.metrics) == list(range(EVERY, STEPS + 1, EVERY))
        trained = TrialFolder(job.folder).load_config()
        assert trained.max_env_steps == STEPS
        check_applied(trained, kept.params)
        proposal, own = kept.proposal, trained.frame_config
        assert own.batch_size == 2 ** proposal["log2(batch_size)"]
        assert own.discount == pytest.approx(1 - proposal["1 - discount"])
        same = {"learning_rate", "update_rate", "updates_per_step", "epsilon_end", "mode"}
        assert {name: getattr(own, name) for name in same} == {
            name: proposal[name] for name in same
        }
