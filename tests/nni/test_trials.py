"""Whole experiments with the real NNI, whose trials train, fail, and are killed."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from sweeprl import TrialConfig
from sweeprl.cli.reading import read_sweep
from sweeprl.config import check_applied
from sweeprl.launcher import TrialFolder
from sweeprl.nni import create, watch, write_experiment
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.reading.listing import Experiment, find
from sweeprl.nni.running.processes import find_processes
from sweeprl.nni.studies.importing import import_experiment
from sweeprl.trials.nni import NNITrialFile
from tests.nni.checking import SPACE, check_parameters, labels
from tests.nni.folders import FAULTY, free_port

TRIAL = """\
import os, pathlib, signal, sys, time

folder, number = pathlib.Path(os.environ["NNI_OUTPUT_DIR"]), int(os.environ["NNI_TRIAL_SEQ_ID"])
command = [sys.executable, "-m", "sweeprl", "run", "--config", "base.json"]
if number == 0:
    sys.exit(3)  # before it has taken its parameters
if number == 1:
    command += ["--set", 'train_env_config.env_name="faulty:NaN-v0"']
if number == 2:
    command += ["--set", "replay_size=8"]  # below every batch that can be proposed
if number == 3 and os.fork() == 0:
    trial = os.getppid()
    kept = folder / "nni.json"
    while not kept.exists() or '"num_delivered": 0' in kept.read_text():
        time.sleep(0.05)
    os.kill(trial, signal.SIGKILL)
    os._exit(0)
os.execv(command[0], command)
"""

ASSESSOR = """\
import os, pathlib
from nni.assessor import AssessResult, Assessor

class StopOne(Assessor):
    stopped = None

    def assess_trial(self, trial_job_id, trial_history):
        if len(trial_history) >= 2 and self.stopped in (None, trial_job_id):
            self.stopped = trial_job_id
            return AssessResult.Bad
        return AssessResult.Good
"""


@pytest.fixture
def base(small_config) -> TrialConfig:
    return TrialConfig.of(
        {**small_config("DQN"), "report_every_env_steps": 250, "max_env_steps": 3000}
    )


def begun(base: TrialConfig, folder: Path, **settings) -> Experiment:
    """An experiment whose trials meet what TRIAL does to them."""
    files = write_experiment(base, folder, SPACE, tuner="TPE", concurrency=2)
    for name, text in (("trial", TRIAL), ("faulty", FAULTY), ("stopping", ASSESSOR)):
        (folder / f"{name}.py").write_text(text)
    written = yaml.safe_load(files.config.read_text()) | settings
    files.config.write_text(yaml.safe_dump(written))
    return find(create(folder, free_port()))


def trials_of(experiment: Experiment) -> dict[str, Path]:
    folder = experiment.folder / "environments" / "local-env" / "trials"
    return {path.name: path for path in folder.iterdir()}


def test_trials_that_fail_in_every_way_do_not_stop_an_experiment(home, base, tmp_path):
    experiment = begun(
        base,
        tmp_path / "experiment",
        trialCommand=f"{sys.executable} trial.py",
        maxTrialNumber=8,
        assessor={"codeDirectory": ".", "className": "stopping.StopOne"},
    )
    seen: dict[str, dict] = {}

    def look() -> bool:
        seen.update(labels(experiment))
        return False

    lines: list[str] = []
    outcome = watch(experiment.id, lines.append, should_stop=look)
    assert (outcome.status, outcome.reason) == ("done", "all trials have ended")
    assert not find_processes(experiment.id)
    folders = trials_of(experiment)
    assert len(folders) == 8
    began = {name: folder for name, folder in folders.items() if NNITrialFile.load(folder)}
    trained = {name: f for name, f in began.items() if TrialFolder(f).record.exists()}
    kept = {name: check_parameters(folder) for name, folder in trained.items()}
    for name in began:
        file = NNITrialFile.load(folders[name])
        assert file is not None
        assert file.proposal == seen[name]  # none was mixed up
    records = {name: TrialFolder(folder).load_record() for name, folder in trained.items()}
    found = sorted(record.status for record in records.values())
    assert found == ["failed", "finished", "finished", "finished", "running", "stopped"]
    (stopped,) = (name for name, record in records.items() if record.status == "stopped")
    assert TrialFolder(folders[stopped]).last.exists()
    assert 500 <= records[stopped].env_steps < 3000
    (diverged,) = (name for name, record in records.items() if record.status == "failed")
    assert "reward" in (folders[diverged] / "trial.log").read_text()
    refused = [(folders[name] / "trial.stderr").read_text() for name in folders.keys() - began]
    assert sorted("replay_size" in text for text in refused) == [False, True]
    assert all(
        kept[name].is_final_delivered == (r.status == "finished") for name, r in records.items()
    )
    text = "\n".join(lines)
    assert [text.count(word) for word in (" succeeded", " failed", " stopped")] == [3, 3, 2]
    check_import(experiment, kept)


def check_import(experiment: Experiment, kept: dict[str, NNITrialFile]) -> None:
    """A sweep is made of it, whose trials have the parameters that they were trained with."""
    found = import_experiment(experiment.folder)
    assert (found.num_new, found.num_mislabelled, found.unreadable) == (8, 0, ())
    reading = read_sweep(found.folder.root)
    by_job = {entry.trial.user_attrs["job"]: entry for entry in reading.search}
    for name, file in kept.items():
        assert by_job[name].params == file.params
        assert by_job[name].reports == dict(file.reports)
        assert by_job[name].score == expected_score(by_job[name].state, file)
        check_applied(TrialFolder(reading.folder_of(by_job[name])).load_config(), file.params)
    assert reading.counts == {"finished": 3, "failed": 4, "pruned": 1}


def expected_score(state: str, file: NNITrialFile) -> float | None:
    """By what the trial itself has kept: of a pruned one, the latest score on the grid."""
    if state == "finished":
        assert file.final is not None
        return file.final
    assert file.final is None
    return file.reports[-1][1] if state == "pruned" else None


def test_a_trial_goes_on_when_the_manager_was_killed(home, base, tmp_path):
    base = base.model_copy(update={"checkpoint_every_seconds": 0.5, "max_env_steps": 6000})
    experiment = begun(base, tmp_path / "experiment", maxTrialNumber=2)

    def kill_the_manager() -> None:
        while not any(
            (file := NNITrialFile.load(folder)) and len(file.reports) >= 4
            for folder in (trials_of(experiment) if _has_trials(experiment) else {}).values()
        ):
            time.sleep(0.05)
        (manager,) = find_processes(experiment.id).managers
        manager.kill()

    killer = threading.Thread(target=kill_the_manager, daemon=True)
    killer.start()
    lines: list[str] = []
    outcome = watch(experiment.id, lines.append)
    assert outcome.status == "done"
    assert any(line.startswith("Resumed") for line in lines)
    assert not find_processes(experiment.id)
    for folder in trials_of(experiment).values():
        kept = check_parameters(folder)
        steps = [at for at, _ in kept.reports]
        assert steps == sorted(set(steps))
        assert (steps[-1], kept.is_final_delivered) == (6000, True)
        assert TrialFolder(folder).load_record().status == "finished"
        assert delivered(experiment, "PERIODICAL", folder.name) == steps  # each once
        assert delivered(experiment, "FINAL", folder.name) == [6000]
    for job in ExperimentDatabase(experiment.folder).jobs():
        assert job.witness is not None
        assert job.repaired == job.witness.proposal


def delivered(experiment: Experiment, kind: str, trial: str) -> list[int]:
    """Environment steps of the metrics that NNI has of a trial, as they came."""
    query = (
        "SELECT data FROM MetricData WHERE type = ? AND trialJobId = ? ORDER BY timestamp, rowid"
    )
    with closing(sqlite3.connect(ExperimentDatabase(experiment.folder).file)) as database:
        return [
            json.loads(json.loads(data))["env_steps"]
            for (data,) in database.execute(query, (kind, trial))
        ]


def test_trials_and_experiments_end_when_their_time_is_over(home, base, tmp_path):
    experiment = begun(
        base.model_copy(update={"max_env_steps": 10**6}),
        tmp_path / "experiment",
        trialConcurrency=1,
        maxTrialDuration="30s",
        maxExperimentDuration="15s",
    )
    outcome = watch(experiment.id, print)
    assert outcome.status == "done"
    assert outcome.reason == "its time is over; 1 of 20 trials have begun"
    assert not find_processes(experiment.id)
    (job,) = ExperimentDatabase(experiment.folder).jobs()
    assert job.status == "USER_CANCELED"
    record = TrialFolder(job.folder).load_record()
    assert (record.status, TrialFolder(job.folder).last.exists()) == ("stopped", True)
    assert 0 < record.env_steps < 10**6


def _has_trials(experiment: Experiment) -> bool:
    return (experiment.folder / "environments" / "local-env" / "trials").exists()
