from __future__ import annotations

import pytest

from sweeprl.nni.reading.manager import Job
from sweeprl.nni.running import quiet
from sweeprl.nni.running.quiet import Quiet


class Clock:
    """Seconds of the epoch, and when the latest report came."""

    def __init__(self) -> None:
        self.now, self.report = 1000.0, None

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(quiet, "time", found)
    return found


def job(status: str = "RUNNING", name: str = "abc") -> Job:
    return Job(name, 3, status, None, None)


def test_a_trial_that_hangs_is_said_once(clock):
    guard = Quiet(600.0, lambda: clock.report)
    assert guard.look([job()]) is None
    clock.now += 599
    assert guard.look([job()]) is None
    clock.now += 1
    said = guard.look([job(), job("SUCCEEDED", "old")][:1])
    assert said is not None
    assert said.startswith("Nothing has happened for 10 min: no report,")
    assert "trial 3 (abc)" in said
    assert "--trial-minutes" in said
    clock.now += 10_000
    assert guard.look([job()]) is None


def test_reports_are_something_that_happens(clock):
    guard = Quiet(600.0, lambda: clock.report)
    guard.look([job()])
    clock.now += 700
    clock.report = clock.now - 50
    assert guard.look([job()]) is None
    clock.now += 549
    assert guard.look([job()]) is None
    clock.now += 1
    assert guard.look([job()]) is not None


def test_a_trial_that_begins_or_ends_is_something_that_happens(clock):
    guard = Quiet(600.0, lambda: clock.report)
    guard.look([job("WAITING")])
    clock.now += 600
    assert guard.look([job("RUNNING")]) is None
    clock.now += 600
    assert guard.look([job("RUNNING")]) is not None
    assert guard.look([job("SUCCEEDED"), job("RUNNING", "next")]) is None
    clock.now += 600
    said = guard.look([job("SUCCEEDED"), job("RUNNING", "next")])
    assert said is not None
    assert "(abc)" not in said


def test_nothing_runs(clock):
    guard = Quiet(600.0, lambda: clock.report)
    clock.now += 5000
    assert guard.look([job("SUCCEEDED")]) is None
    assert guard.look([]) is None
