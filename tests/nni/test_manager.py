"""The real manager answers in test_experiments.py."""

from __future__ import annotations

import json

import pytest

from sweeprl.nni.reading.manager import Job, Manager
from tests.nni.folders import free_port
from tests.trials.managers import ODD_ANSWERS, answering


def metric(value) -> list[dict]:
    return [{"data": json.dumps(json.dumps(value))}]


@pytest.mark.parametrize(
    "metrics, final",
    [
        (metric(0.5), 0.5),
        (metric({"default": 3, "env_steps": 100}), 3.0),
        ([*metric(0.5), *metric(0.7)], 0.7),
        (metric("NaN"), None),
        (metric("Infinity"), None),
        (metric({"loss": 1}), None),
        (metric(None), None),
        ([{"data": "no JSON"}], None),
        ([], None),
        (None, None),
    ],
)
def test_the_last_result_is_a_finite_number_or_none(metrics, final):
    plain = {"trialJobId": "abc", "sequenceId": 3, "status": "SUCCEEDED"}
    assert Job.of({**plain, "finalMetricData": metrics}) == Job("abc", 3, "SUCCEEDED", final, None)


@pytest.mark.parametrize(
    "status, is_over, end",
    [
        ("SUCCEEDED", True, "succeeded"),
        ("FAILED", True, "failed"),
        ("USER_CANCELED", True, "stopped"),
        ("EARLY_STOPPED", True, "stopped"),
        ("SYS_CANCELED", True, "stopped"),
    ],
)
def test_the_ways_to_end(status, is_over, end):
    times = {"startTime": 1_000, "endTime": 3_500}
    job = Job.of({"trialJobId": "abc", "sequenceId": 0, "status": status, **times})
    assert (job.is_over, job.end, job.seconds) == (is_over, end, 2.5)


@pytest.mark.parametrize("status", ["WAITING", "RUNNING", "UNKNOWN", "ADD_RESUMED"])
def test_a_trial_that_is_not_over(status):
    job = Job.of({"trialJobId": "abc", "status": status, "startTime": 1_000})
    assert not job.is_over
    assert job.seconds is None


def test_nobody_answers():
    with pytest.raises(OSError, match="refused"):
        Manager(free_port()).status()


@pytest.mark.parametrize("odd", ODD_ANSWERS)
@pytest.mark.parametrize("question", ["status", "profile", "jobs"])
def test_another_server_answers(odd, question):
    with answering(ODD_ANSWERS[odd]) as port:
        ask = getattr(Manager(port), question)
        if (odd, question) == ("empty", "profile"):
            assert ask() == {}  # so NNI says that it has not begun
            return
        with pytest.raises(OSError, match="NNI's manager must answer|without response|reset"):
            ask()
