"""Who hears how a trial goes, and may stop it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from sweeprl.trials.trial import TrialOutcome

__all__ = ["MemoryReporter", "Reporter"]


class Reporter(ABC):
    """Hears of one trial: scores on a fixed grid of environment steps, and its end."""

    @abstractmethod
    def report(self, env_steps: int, score: float) -> None:
        """Takes note of a score, as if the trial had ended there.

        Args:
            env_steps: a multiple of the config's `report_every_env_steps`, each of them once.
            score: mean over the trial's seeds.
        """

    @abstractmethod
    def should_stop(self) -> bool:
        """Whether the trial is not worth its remaining budget; asked after every report."""

    @abstractmethod
    def finish(self, outcome: TrialOutcome) -> None:
        """Takes note of the end."""


class MemoryReporter(Reporter):
    """Keeps what it hears.

    Args:
        prune: from the scores so far, by environment steps, whether to stop; never by default.
    """

    def __init__(self, prune: Callable[[dict[int, float]], bool] | None = None) -> None:
        self.scores: dict[int, float] = {}
        """By environment steps."""
        self.outcome: TrialOutcome | None = None
        """How it ended; None while it runs."""
        self._prune = prune

    def report(self, env_steps: int, score: float) -> None:
        """Keeps the score."""
        self.scores[env_steps] = score

    def should_stop(self) -> bool:
        """Asks `prune`."""
        return self._prune is not None and self._prune(self.scores)

    def finish(self, outcome: TrialOutcome) -> None:
        """Keeps the outcome."""
        self.outcome = outcome
