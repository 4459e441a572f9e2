"""On which seeds a trial of the search is trained, and in how many goes.

All trials share their seeds, so that they can be compared pair by pair. Repeating every trial
wastes a small budget; racing repeats those that may be the best. Hutter, Hoos, Leyton-Brown 2011,
Sequential Model-Based Optimization for General Algorithm Configuration, algorithm 3 (intensify),
https://doi.org/10.1007/978-3-642-25566-3_40.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from statistics import fmean

from sweeprl.errors import ConfigError
from sweeprl.sweeps.entries import Entry
from sweeprl.sweeps.stage import Job

__all__ = [
    "CONFIRMATION_SEEDS",
    "TEST_SEEDS",
    "PairedTest",
    "Race",
    "SeedPlan",
    "Together",
    "seed_plan",
]

CONFIRMATION_SEEDS = 1_000
"""First seed of confirmation, counted from the sweep's own seed; those below are the search's."""

TEST_SEEDS = 100_000
"""First seed that neither search nor confirmation ever uses, counted likewise."""


class SeedPlan(ABC):
    """Says which seeds come next.

    Args:
        first: the first seed.
        count: how many a trial is trained on at most.
    """

    def __init__(self, first: int, count: int) -> None:
        self.all = tuple(range(first, first + count))

    @property
    def num_at_once(self) -> int:
        """Seeds that a trial begins with."""
        return 1

    @abstractmethod
    def next(self, job: Job, entries: Callable[[], Sequence[Entry]]) -> tuple[int, ...]:
        """Returns the seeds that a job is to be trained on next; none where it is done."""


class Together(SeedPlan):
    """All seeds at once; the score on the grid is their mean."""

    @property
    def num_at_once(self) -> int:
        """All."""
        return len(self.all)

    def next(self, job: Job, entries: Callable[[], Sequence[Entry]]) -> tuple[int, ...]:
        """All, or none."""
        return () if job.scores else self.all


class Race(SeedPlan):
    """One seed after the other, for as long as the trial is not behind the best one.

    It is behind where its mean is lower than the best one's, on all of its seeds and on those that
    both were trained on. The config that was given, trial 0, is trained on all.
    """

    def next(self, job: Job, entries: Callable[[], Sequence[Entry]]) -> tuple[int, ...]:
        """The next seed, or none."""
        done = len(job.scores)
        if done == len(self.all) or (done and self._is_behind(job, entries())):
            return ()
        return self.all[done : done + 1]

    def _is_behind(self, job: Job, entries: Sequence[Entry]) -> bool:
        whole = [e for e in entries if e.is_over and len(e.scores) == len(self.all)]
        if not whole or any(e.is_default for e in entries if e.number == job.number):
            return False
        best = max((entry.scores for entry in whole), key=lambda scores: fmean(scores.values()))
        mean = fmean(job.scores.values())
        return mean < min(fmean(best[seed] for seed in job.scores), fmean(best.values()))


class PairedTest(SeedPlan):
    """One seed after the other, for as long as the study's pruner lets the trial go on.

    For Optuna's WilcoxonPruner, which compares a trial with the best one seed by seed.
    """

    def next(self, job: Job, entries: Callable[[], Sequence[Entry]]) -> tuple[int, ...]:
        """The next seed, or none."""
        done = len(job.scores)
        for number, score in enumerate(job.scores.values()):
            if number not in job.reports:
                job.reports[number] = score
                job.trial.report(score, number)
        is_pruned = done > 0 and job.trial.should_prune()
        return () if is_pruned else self.all[done : done + 1]


def seed_plan(
    seeds: int | str, first: int, num_trials: int | None, pruner: object = "auto"
) -> SeedPlan:
    """Reads a plan as it is written on a command line.

    Args:
        seeds: how many, `race:N`, or `auto`.
        first: the first seed.
        num_trials: of the search; None where the budget is another one.
        pruner: of the search; the paired test needs whole seeds, one after the other.

    Raises:
        ConfigError: the number of seeds is none, or too small or large.
    """
    word = str(seeds)
    if word == "auto":
        many = num_trials or 0
        word = "race:8" if many >= 256 else "race:3" if many >= 64 else "1"
        word = "10" if pruner == "wilcoxon" else word
    kind, _, number = word.rpartition(":")
    if kind not in ("", "race") or not number.isdigit():
        raise ConfigError(f"seeds must be a number, race:N, or auto, but got '{seeds}'.")
    count = int(number)
    if not 1 <= count <= CONFIRMATION_SEEDS:
        raise ConfigError(
            f"A trial must be trained on 1 to {CONFIRMATION_SEEDS} seeds, but got {count}."
        )
    if pruner == "wilcoxon":
        return PairedTest(first, count)
    return Race(first, count) if kind == "race" else Together(first, count)
