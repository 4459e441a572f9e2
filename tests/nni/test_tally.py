from __future__ import annotations

from sweeprl.nni.reading.manager import Job
from sweeprl.nni.reading.tally import JobTally

A = Job("a", 0, "SUCCEEDED", 0.5, 2.0)
B = Job("b", 1, "SUCCEEDED", 0.25, 3.0)
FAILED = Job("c", 2, "FAILED", None, 1.0)
STOPPED = Job("d", 3, "USER_CANCELED", None, None)
RUNNING = Job("e", 4, "RUNNING", None, None)


def test_each_end_is_told_once():
    tally = JobTally()
    assert tally.add([A, RUNNING]) == ["trial 0 (a) succeeded after 2 s with 0.5, the best so far"]
    assert tally.add([A, B, FAILED, STOPPED, RUNNING]) == [
        "trial 1 (b) succeeded after 3 s with 0.25",
        "trial 2 (c) failed after 1 s",
        "trial 3 (d) stopped",
    ]
    assert len(tally) == 4
    assert tally.summary() == (
        "4 trials: 1 failed, 1 stopped, 2 succeeded; best 0.5 by trial 0 (a)"
    )


def test_the_smallest_may_be_the_best():
    tally = JobTally(is_maximized=False)
    tally.add([A, B])
    assert tally.best == B


def test_an_equal_result_is_not_better():
    tally = JobTally(is_maximized=False)
    tally.add([A, Job("f", 5, "SUCCEEDED", 0.5, 1.0)])
    assert tally.best == A


def test_nothing_has_ended():
    assert JobTally().summary() == "0 trials"
