import pytest

from sweeprl.launcher import TrialRecord
from sweeprl.trials import MemoryReporter, Tally, Trial
from tests.executors.conftest import small_config


@pytest.fixture
def tally(tmp_path):
    def build(num_seeds, prune=None):
        reporter = MemoryReporter(prune)
        trial = Trial(small_config(tmp_path), reporter, seeds=list(range(num_seeds)))
        return Tally(trial, num_seeds), reporter

    return build


def test_the_mean_is_reported_once_all_seeds_are_there(tally):
    both, reporter = tally(2)
    both.report(100, 1.0)
    both.report(200, 5.0)
    assert reporter.scores == {}
    both.report(100, 3.0)
    assert reporter.scores == {100: 2.0}
    both.report(200, 6.0)
    assert reporter.scores == {100: 2.0, 200: 5.5}


def test_a_reporter_that_says_so_ends_all_seeds(tally):
    both, _ = tally(2, prune=lambda scores: scores[100] < 3)
    both.report(100, 1.0)
    assert not both.should_stop
    both.report(100, 2.0)
    assert both.should_stop
    assert both.reason == "its reporter stopped it"


def test_a_seed_that_failed_ends_the_others(tally):
    three, reporter = tally(3)
    three.finish(TrialRecord(status="finished", seed=0))
    assert not three.should_stop
    three.finish(TrialRecord(status="failed", seed=1, reason="no"))
    assert three.should_stop
    assert three.reason == "seed 1 failed"
    assert reporter.outcome is None
    three.finish(TrialRecord(status="pruned", seed=2))
    assert (reporter.outcome.status, reporter.outcome.reason) == ("failed", "no")
    assert len(reporter.outcome.records) == 3
