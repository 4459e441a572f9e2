import pytest

from sweeprl.executors.feed import Feed, cohort_of
from sweeprl.launcher import TrialRecord
from sweeprl.trials import MemoryReporter, Trial
from tests.executors.conftest import record, small_config


class Tuner:
    """Proposes trials, and counts how many it was asked for."""

    def __init__(self, root, modes, seeds=(), **settings):
        self.root, self.modes, self.seeds, self.settings = root, modes, seeds, settings
        self.asked = 0

    def __iter__(self):
        for n, mode in enumerate(self.modes):
            self.asked += 1
            config = small_config(self.root / str(n), seed=n, frame_config=dict(mode=mode))
            yield Trial(config, MemoryReporter(), self.seeds, **self.settings)


def test_seats_come_cohort_by_cohort(tmp_path):
    feed = Feed(Tuner(tmp_path, ["double", "vanilla", "double", "vanilla", "double"]), 10)
    cohort = feed.next_cohort()
    found = [feed.next_seat(cohort).config.seed for _ in range(3)]
    assert found == [0, 2, 4]
    assert feed.next_seat(cohort) is None
    other = feed.next_cohort()
    assert [feed.next_seat(other).config.seed for _ in range(2)] == [1, 3]
    assert feed.next_cohort() is None


def test_no_more_trials_are_asked_for_than_there_is_use_for(tmp_path):
    tuner = Tuner(tmp_path, ["double", *["vanilla"] * 9])
    feed = Feed(tuner, most_waiting=3)
    cohort = feed.next_cohort()
    assert tuner.asked == 1
    assert feed.next_seat(cohort) is not None
    assert tuner.asked == 1
    assert feed.next_seat(cohort) is None
    assert tuner.asked == 4


def test_lanes_update_every_64_steps_unless_they_are_told_otherwise(tmp_path):
    feed = Feed([Trial(small_config(tmp_path), MemoryReporter())], 1)
    assert feed.next_seat(feed.next_cohort()).config.frame_config.collect_steps == 64
    config = small_config(tmp_path, frame_config=dict(collect_steps=8))
    feed = Feed([Trial(config, MemoryReporter())], 1)
    assert feed.next_seat(feed.next_cohort()).config.frame_config.collect_steps == 8


@pytest.mark.parametrize(
    "changes, is_shared",
    [
        (dict(seed=5), True),
        (dict(frame_config=dict(learning_rate=0.5, batch_size=8, updates_per_step=1.0)), True),
        (dict(frame_config=dict(mode="vanilla")), False),
        (dict(frame_config=dict(update_rate=None, update_steps=10)), False),
        (dict(max_env_steps=77), False),
        (dict(num_envs=2), False),
        (dict(env="gymnasium"), False),
    ],
)
def test_what_trials_of_a_cohort_share(changes, is_shared, tmp_path):
    one, other = small_config(tmp_path / "a"), small_config(tmp_path / "b", **changes)
    assert (cohort_of(one) == cohort_of(other)) == is_shared


def test_modules_of_different_folders_are_not_mixed(tmp_path):
    trials = [
        Trial(small_config(tmp_path / folder), MemoryReporter(), config_folder=folder)
        for folder in "ab"
    ]
    feed = Feed(trials, 10)
    cohort = feed.next_cohort()
    assert feed.next_seat(cohort).tally.trial.config_folder == "a"
    assert feed.next_seat(cohort) is None


def test_seeds_of_a_trial_that_is_over_end_before_they_begin(tmp_path):
    feed = Feed(Tuner(tmp_path, ["double"], seeds=[0, 1, 2]), 10)
    cohort = feed.next_cohort()
    seat = feed.next_seat(cohort)
    seat.tally.finish(TrialRecord(status="failed", seed=0))
    assert feed.next_seat(cohort) is None
    assert seat.tally.trial.reporter.outcome.status == "failed"
    for name in ("seed-1", "seed-2"):
        assert record(tmp_path / "0" / name)["status"] == "pruned"
        assert record(tmp_path / "0" / name)["reason"] == "seed 0 failed"


def test_trials_are_handed_out_whole_where_they_cannot_be_lanes(tmp_path):
    feed = Feed(Tuner(tmp_path, ["double", "vanilla", "double"], seeds=[0, 1]), 10)
    cohort = feed.next_cohort()
    found = list(feed.trials_from(feed.next_seat(cohort), cohort))
    assert [trial.config.seed for trial in found] == [0, 2]
    assert all(trial.configs()[0].frame_config.collect_steps is None for trial in found)


def test_only_trials_that_have_begun_hear_of_a_stop(tmp_path):
    feed = Feed(Tuner(tmp_path, ["double"] * 2, seeds=[0, 1]), 10)
    cohort = feed.next_cohort()
    seats = [feed.next_seat(cohort)]
    seats[0].open()
    seats[0].end({"status": "stopped", "reason": "signal 15"})
    feed.next_cohort()
    feed.close("signal 15")
    outcome = seats[0].tally.trial.reporter.outcome
    assert [r.status for r in outcome.records] == ["stopped", "stopped"]
    assert not (tmp_path / "0" / "seed-1").exists()
    assert not (tmp_path / "1").exists()


def test_who_was_kept_from_beginning_is_told_once(tmp_path):
    trials = list(Tuner(tmp_path, ["double"] * 3))
    feed = Feed(trials, most_waiting=3)
    cohort = feed.next_cohort()
    given_away, kept = feed.next_seat(cohort), feed.next_seat(cohort)
    assert next(feed.trials_from(given_away, cohort)) is trials[0]
    feed.abandon("no memory")
    feed.close("over")
    outcomes = [trial.reporter.outcome for trial in trials]
    assert outcomes[0] is None  # whoever trains it tells
    assert (outcomes[1].status, outcomes[1].reason) == ("stopped", "no memory")
    assert kept.is_told
