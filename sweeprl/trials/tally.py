"""What the seeds of a trial have to say, joined for its reporter."""

from __future__ import annotations

from statistics import fmean
from typing import Protocol

from sweeprl.launcher import TrialRecord
from sweeprl.trials.trial import Trial, TrialOutcome

__all__ = ["Listener", "Tally"]


class Listener(Protocol):
    """Hears the scores of one seed."""

    @property
    def should_stop(self) -> bool:
        """Whether the seed is to stop; looked at after every report."""

    def report(self, env_steps: int, score: float) -> None:
        """Takes note of a score at a point of the grid."""


class Tally:
    """Joins what the seeds of a trial have to say.

    Args:
        trial: the trial.
        num_seeds: how many there are.
    """

    def __init__(self, trial: Trial, num_seeds: int) -> None:
        self.trial, self._num_seeds = trial, num_seeds
        self._scores: dict[int, list[float]] = {}
        self._records: list[TrialRecord] = []
        self.has_begun = False
        """Whether any of its seeds is or was trained."""
        self.reason = ""
        """Why all its seeds are to stop; empty as long as they are not."""
        self.outcome: TrialOutcome | None = None
        """How the trial ended; None while it runs."""

    @property
    def should_stop(self) -> bool:
        """Whether all its seeds are to stop."""
        return bool(self.reason)

    def report(self, env_steps: int, score: float) -> None:
        """Reports the mean once all seeds have got to `env_steps`."""
        scores = self._scores.setdefault(env_steps, [])
        scores.append(score)
        if len(scores) == self._num_seeds:
            self.trial.reporter.report(env_steps, fmean(scores))
            if self.trial.reporter.should_stop():
                self._stop("its reporter stopped it")

    def finish(self, record: TrialRecord) -> None:
        """Reports the outcome once all seeds have ended; one that failed ends the others."""
        self._records.append(record)
        if record.status == "failed":
            self._stop(f"seed {record.seed} failed")
        if len(self._records) == self._num_seeds:
            self.outcome = TrialOutcome(tuple(self._records))
            self.trial.reporter.finish(self.outcome)

    def _stop(self, reason: str) -> None:
        self.reason = self.reason or reason
