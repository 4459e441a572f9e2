"""That NNI then does what it should is seen in test_experiments.py."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from sweeprl.errors import ConfigError
from sweeprl.nni.running import resuming
from sweeprl.nni.running.resuming import prepare_resume

TPE = {"name": "TPE", "classArgs": {"seed": 1, "optimize_mode": "maximize"}}
EVENTS = [
    ("a", "RUNNING"),
    ("a", "SUCCEEDED"),
    ("b", "RUNNING"),
    ("b", "ADD_RESUMED"),
    ("c", "WAITING"),
    ("", "IMPORT_DATA"),
]


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """`prepared(params, "3.0")`: the latest params and the events after the preparation."""

    def prepare(params, version):
        monkeypatch.setattr(resuming, "version", lambda name: version)
        (tmp_path / "db").mkdir()
        with closing(sqlite3.connect(tmp_path / "db" / "nni.sqlite")) as database, database:
            database.execute("create table ExperimentProfile (params text, revision integer)")
            database.execute("create table TrialJobEvent (trialJobId text, event text)")
            rows = [(json.dumps({"old": True}), 1), (json.dumps(params), 2)]
            database.executemany("insert into ExperimentProfile values (?, ?)", rows)
            database.executemany("insert into TrialJobEvent values (?, ?)", EVENTS)
        prepare_resume(tmp_path)
        with closing(sqlite3.connect(tmp_path / "db" / "nni.sqlite")) as database:
            old, new = database.execute("select params from ExperimentProfile order by revision")
            events = database.execute("select * from TrialJobEvent").fetchall()
        assert json.loads(old[0]) == {"old": True}
        return json.loads(new[0]), events

    return prepare


def test_a_tuner_of_nni_gets_another_seed_and_nothing_else_changes(prepared):
    params, _ = prepared({"tuner": TPE, "maxTrialNumber": 10}, "3.0")
    seed = params["tuner"]["classArgs"].pop("seed")
    assert seed not in (1, 2)
    rest = {"name": "TPE", "classArgs": {"optimize_mode": "maximize"}}
    assert params == {"tuner": rest, "maxTrialNumber": 10}


@pytest.mark.parametrize(
    "tuner",
    [
        {"className": "mine.Tuner", "classArgs": {"seed": 1}},
        {"name": "TPE", "classArgs": {"optimize_mode": "maximize"}},
        {"name": "Random"},
    ],
)
def test_other_tuners_are_left_alone(prepared, tuner):
    assert prepared({"tuner": tuner}, "3.0")[0] == {"tuner": tuner}


def test_a_trial_that_waited_to_be_resumed_is_an_interrupted_one(prepared):
    _, events = prepared({}, "3.0")
    assert events == [event for event in EVENTS if event[1] != "ADD_RESUMED"]


def test_nni_2_may_begin_as_many_more_as_it_counts_twice(prepared):
    assert prepared({"maxTrialNumber": 10}, "2.10.1")[0] == {"maxTrialNumber": 12}


def test_no_database(tmp_path):
    with pytest.raises(ConfigError, match="needs its database, but .* does not exist"):
        prepare_resume(tmp_path)
