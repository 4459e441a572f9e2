from __future__ import annotations

import json
import sqlite3
import sys
from contextlib import closing

import pytest
import yaml

from sweeprl import TrialConfig
from sweeprl.cli.reading import read_sweep
from sweeprl.errors import ConfigError, Occupied
from sweeprl.launcher import TrialFolder, TrialRecord
from sweeprl.nni import create, watch, write_experiment
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.reading.listing import find
from sweeprl.nni.studies.importing import experiment_at, import_experiment
from sweeprl.trials.nni import NNITrialFile
from tests.nni.folders import free_port
from tests.nni.played import SPACE, Database, Played


@pytest.fixture
def base(small_config) -> TrialConfig:
    plain = {**small_config("DQN"), "max_env_steps": 1000, "report_every_env_steps": 100}
    return TrialConfig.of(plain)


@pytest.fixture
def database(base, tmp_path) -> Database:
    """An experiment of NNI's own TPE."""
    files = write_experiment(base, tmp_path / "files", SPACE)
    profile = {
        **yaml.safe_load(files.config.read_text()),
        "trialCodeDirectory": str(files.root),
        "searchSpace": json.loads(files.space.read_text()),
    }
    return Database(tmp_path / "experiment", profile)


def proposal(rate: float) -> dict[str, float]:
    return {"learning_rate": rate, "log2(batch_size)": 5}


def begin(database: Database, job: str, parameter: int, rate: float) -> None:
    content = {"parameter_id": parameter, "parameters": proposal(rate)}
    database.event(job, "WAITING", json.dumps(content))
    database.event(job, "RUNNING")


def finish(database: Database, job: str, parameter: int, score: float) -> None:
    """With the parameters of that number, whatever its label."""
    database.metric(job, parameter, "PERIODICAL", {"default": score / 2, "env_steps": 100})
    database.metric(job, parameter, "FINAL", {"default": score, "env_steps": 1000})
    database.event(job, "SUCCEEDED")


def test_a_label_is_repaired_by_the_number_in_the_reports(database):
    for number, job in enumerate("abc"):
        begin(database, job, number, (1 + number) * 1e-3)
    finish(database, "a", 1, 20.0)
    finish(database, "b", 0, 10.0)
    finish(database, "c", 2, 30.0)
    found = import_experiment(database.folder)
    assert (found.num_new, found.num_mislabelled, found.num_going_on) == (3, 2, 0)
    reading = read_sweep(found.folder.root)
    rates = {entry.score: entry.params["learning_rate"] for entry in reading.search}
    assert rates == {20.0: 2e-3, 10.0: 1e-3, 30.0: 3e-3}
    assert [entry.reports for entry in reading.search] == [{100: 10.0}, {100: 5.0}, {100: 15.0}]
    assert reading.result.status == "finished"
    assert reading.result.config.frame_config.learning_rate == 3e-3


def test_what_the_trial_itself_has_noted_counts_most(database):
    begin(database, "a", 0, 1e-3)
    finish(database, "a", 0, 5.0)
    folder = database.job_folder("a")
    folder.mkdir(parents=True)
    NNITrialFile("experiment", "a", 7, proposal(4e-3), reports=[(100, 2.0)], final=5.0).save(folder)
    record = TrialRecord(status="finished", score=5.0, seed=0, env_steps=1000, seconds=2.5)
    TrialFolder(folder).save_record(record)
    found = import_experiment(database.folder)
    assert found.num_mislabelled == 1
    (entry,) = read_sweep(found.folder.root).search
    assert entry.params["learning_rate"] == 4e-3
    assert (entry.reports, entry.outcome["seconds"]) == ({100: 2.0}, 2.5)


def test_numbers_that_are_given_again_after_a_resume_are_told_apart(database):
    begin(database, "a", 1, 1e-3)
    finish(database, "a", 1, 1.0)
    begin(database, "b", 1, 2e-3)
    begin(database, "c", 2, 3e-3)
    finish(database, "b", 2, 3.0)
    finish(database, "c", 1, 2.0)
    jobs = ExperimentDatabase(database.folder).jobs()
    rates = [job.proposal["learning_rate"] for job in jobs]
    assert rates == [1e-3, 3e-3, 2e-3]
    assert [job.is_mislabelled for job in jobs] == [False, True, True]


def test_importing_again_adds_what_is_new(database):
    begin(database, "a", 0, 1e-3)
    begin(database, "b", 1, 2e-3)
    finish(database, "a", 0, 1.0)
    found = import_experiment(database.folder)
    assert (found.num_new, found.num_known, found.num_going_on) == (1, 0, 1)
    assert read_sweep(found.folder.root).result.status == "stopped"
    found = import_experiment(database.folder)
    assert (found.num_new, found.num_known) == (0, 1)
    finish(database, "b", 1, 2.0)
    found = import_experiment(database.folder)
    assert (found.num_new, found.num_known, found.num_going_on) == (1, 1, 0)
    assert [entry.score for entry in read_sweep(found.folder.root).search] == [1.0, 2.0]


def test_failed_and_stopped_trials_are_there_too(database):
    for number, job in enumerate("abc"):
        begin(database, job, number, 1e-3)
    database.metric("a", 0, "PERIODICAL", {"default": 4.0, "env_steps": 100})
    database.event("a", "EARLY_STOPPED")
    database.event("b", "FAILED")
    database.metric("c", 2, "FINAL", {"default": float("nan")})
    database.event("c", "SUCCEEDED")
    reading = read_sweep(import_experiment(database.folder).folder.root)
    assert [entry.state for entry in reading.search] == ["pruned", "failed", "failed"]
    assert [entry.score for entry in reading.search] == [4.0, None, None]


def test_a_proposal_that_is_none_of_the_space_is_left_out(database):
    begin(database, "a", 0, 1e-3)
    finish(database, "a", 0, 1.0)
    begin(database, "b", 1, 5.0)  # above the range
    finish(database, "b", 1, 1.0)
    found = import_experiment(database.folder)
    assert (found.num_new, found.num_going_on) == (1, 0)
    assert found.unreadable[0].startswith("b: 'learning_rate'")


def test_settings_of_the_trial_command_are_the_config_s(database):
    profile = json.loads(_profile(database))
    profile["trialCommand"] += " --set learning_rate=0.5 --set max_env_steps=800 --seed 3"
    database.write("ExperimentProfile", json.dumps(profile), "experiment", 60, 0, 0, "", 0, 2)
    begin(database, "a", 0, 1e-3)
    finish(database, "a", 0, 1.0)
    reading = read_sweep(import_experiment(database.folder).folder.root)
    assert (reading.base.max_env_steps, reading.base.seed) == (800, 3)
    assert reading.base.frame_config.learning_rate == 0.5
    assert reading.trial(0).scores == {3: 1.0}


def _profile(database: Database) -> str:
    with closing(sqlite3.connect(database.folder / "db" / "nni.sqlite")) as file:
        return file.execute("SELECT params FROM ExperimentProfile").fetchone()[0]


def test_the_config_must_be_there(database, tmp_path):
    (tmp_path / "files" / "base.json").rename(tmp_path / "elsewhere.json")
    with pytest.raises(ConfigError, match="base.json' does not exist. Name it with"):
        import_experiment(database.folder)
    begin(database, "a", 0, 1e-3)
    finish(database, "a", 0, 1.0)
    found = import_experiment(database.folder, tmp_path / "sweep", tmp_path / "elsewhere.json")
    assert found.folder.root == tmp_path / "sweep"
    assert found.num_new == 1


def test_a_folder_that_is_none_of_nni_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no db/nni.sqlite"):
        import_experiment(tmp_path)
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "nni.sqlite").write_text("no database at all, but text\n" * 100)
    with pytest.raises(ConfigError, match="must be a database of NNI that can be read"):
        import_experiment(experiment_at(str(tmp_path)))


def test_the_study_of_our_tuner_hears_what_it_has_missed(base, tmp_path, monkeypatch):
    played = Played(tmp_path, base, monkeypatch, trials=2)
    first, second = played.start(2)
    first.finish(4.0)
    with pytest.raises(Occupied):
        import_experiment(played.folder)
    played.end()
    second.record("finished", 6.0)
    second.noted("SUCCEEDED")
    found = import_experiment(played.folder)
    assert (found.num_new, found.num_known, found.num_mislabelled) == (1, 1, 0)
    reading = read_sweep(played.sweep)
    assert [entry.score for entry in reading.search] == [4.0, 6.0]
    assert reading.result.status == "finished"


def test_the_config_as_it_was_given_stays_that_in_another_folder(base, tmp_path, monkeypatch):
    given = base.model_copy(
        update={"frame_config": base.frame_config.model_copy(update={"learning_rate": 0.5})}
    )  # above the range: the proposal has the nearest rate there is
    played = Played(tmp_path, given, monkeypatch, trials=2)
    first, second = played.start(2)
    assert first.content["parameters"]["learning_rate"] < 0.5
    first.finish(6.0)
    second.finish(4.0)
    played.end()
    found = import_experiment(played.folder, tmp_path / "other")
    reading = read_sweep(found.folder.root)
    assert [entry.is_default for entry in reading.search] == [True, False]
    assert reading.trial(0).params == {}
    assert reading.trial(1).params["learning_rate"] == second.content["parameters"]["learning_rate"]
    assert reading.result.config.frame_config == given.frame_config


def test_a_config_is_heeded_for_the_study_of_our_tuner(base, tmp_path, monkeypatch):
    played = Played(tmp_path, base, monkeypatch, trials=1)
    played.start()[0].finish(4.0)
    played.end()
    moved = tmp_path / "moved" / "base.json"
    moved.parent.mkdir()
    (played.files.root / "base.json").rename(moved)
    with pytest.raises(ConfigError, match="base.json' does not exist. Name it with"):
        import_experiment(played.folder)
    assert import_experiment(played.folder, config=moved).num_known == 1
    plain = json.loads(moved.read_text())
    moved.write_text(json.dumps({**plain, "seed": 9}))
    with pytest.raises(ConfigError, match="seed: 0 before, 9 now"):
        import_experiment(played.folder, config=moved)


def test_the_experiment_itself_says_where_its_study_s_database_is(base, tmp_path, monkeypatch):
    storage = f"sqlite:///{tmp_path / 'other.db'}"
    played = Played(tmp_path, base, monkeypatch, trials=1, storage=storage)
    played.start()[0].finish(4.0)
    played.end()
    (played.sweep / "sweep.json").unlink()  # nothing else says where the study lies
    assert import_experiment(played.folder).num_known == 1


CARELESS = """\
import os, sys
import nni

if os.environ["NNI_TRIAL_SEQ_ID"] == "1":
    sys.exit(3)  # before it has taken its parameters: those that follow get each other's
params = nni.get_next_parameter()
nni.report_intermediate_result({"default": params["learning_rate"] / 2})
nni.report_final_result({"default": params["learning_rate"]})
"""
"""A user's own trial, whose score tells which parameters it had."""


def test_a_real_experiment_whose_labels_are_wrong_is_repaired(home, base, tmp_path, cli):
    files = write_experiment(base, tmp_path / "files", SPACE, trials=6)
    (files.root / "trial.py").write_text(CARELESS)
    content = yaml.safe_load(files.config.read_text())
    command = f"{sys.executable} trial.py"
    # NNI's TPE raises as soon as labels are wrong.
    random = {"name": "Random", "classArgs": {"seed": 1}}
    files.config.write_text(yaml.safe_dump({**content, "trialCommand": command, "tuner": random}))
    experiment = find(create(files.root, free_port()))
    assert watch(experiment.id, print).status == "done"
    result = cli("nni", "import", experiment.id)
    assert result.code == 0, result.err
    reading = read_sweep(experiment.folder / "sweep")
    finished = [entry for entry in reading.search if entry.state == "finished"]
    assert len(reading.search) == 6
    assert len(finished) == 5
    assert all(entry.score == entry.params["learning_rate"] for entry in finished)
    wrong = sum(job.is_mislabelled for job in ExperimentDatabase(experiment.folder).jobs())
    assert wrong > 0
    assert f"{wrong} wrong in NNI's database, repaired here" in result.out
    best = json.loads(cli("best", experiment.folder / "sweep", "--print").out)
    assert best["frame_config"]["learning_rate"] == max(entry.score for entry in finished)
