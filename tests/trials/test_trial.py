import pytest

from sweeprl.errors import ConfigError
from sweeprl.launcher import TrialRecord
from sweeprl.trials import MemoryReporter, Trial, TrialOutcome
from tests.executors.conftest import small_config


def outcome(*statuses, scores=None):
    scores = scores or [1.0] * len(statuses)
    return TrialOutcome(
        tuple(
            TrialRecord(status=status, reason=f"{status}!", score=score)
            for status, score in zip(statuses, scores, strict=True)
        )
    )


@pytest.mark.parametrize(
    "statuses, expected",
    [
        (["finished"], "finished"),
        (["finished", "pruned"], "pruned"),
        (["pruned", "stopped", "finished"], "stopped"),
        (["stopped", "failed", "pruned"], "failed"),
    ],
)
def test_of_several_seeds_the_status_that_counts_most_is_the_trials(statuses, expected):
    assert outcome(*statuses).status == expected
    assert outcome(*statuses).reason == f"{expected}!"


def test_the_score_is_the_mean_over_the_seeds_if_all_have_one():
    assert outcome("finished", "finished", scores=[1.0, 2.0]).score == 1.5
    assert outcome("finished", "finished", scores=[1.0, None]).score is None


def test_one_seed_lies_in_the_trials_folder_and_several_beside_each_other(tmp_path):
    config = small_config(tmp_path, seed=7)
    (own,) = Trial(config, MemoryReporter()).configs()
    assert (own.seed, own.root_dir) == (7, str(tmp_path))
    (one,) = Trial(config, MemoryReporter(), seeds=[3]).configs()
    assert (one.seed, one.root_dir) == (3, str(tmp_path))
    several = Trial(config, MemoryReporter(), seeds=[3, 4]).configs()
    assert [c.seed for c in several] == [3, 4]
    assert [c.root_dir for c in several] == [str(tmp_path / f"seed-{n}") for n in (3, 4)]


def test_seeds_must_differ(tmp_path):
    with pytest.raises(ConfigError, match=r"seeds must differ from each other, but got \[1, 1\]"):
        Trial(small_config(tmp_path), MemoryReporter(), seeds=[1, 1])
