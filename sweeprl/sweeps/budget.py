"""How much a sweep may use."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sweeprl.errors import ConfigError
from sweeprl.sweeps.entries import Entry

__all__ = ["Clock", "SweepBudget"]


class Clock:
    """Wall-clock seconds of a sweep, over all its sessions."""

    def __init__(self) -> None:
        self._earlier, self._started_at = 0.0, time.monotonic()

    def add(self, seconds: float) -> None:
        """Adds those of earlier sessions."""
        self._earlier += seconds

    @property
    def seconds(self) -> float:
        """Until now."""
        return self._earlier + time.monotonic() - self._started_at


@dataclass(frozen=True)
class SweepBudget:
    """What a sweep may use; whichever limit is met first ends it.

    Args:
        trials: of the search; confirmation runs come on top.
        env_steps: of search and confirmation together.
        seconds: of search and confirmation together, on the wall clock. Trials that run when they
            are over are trained to their end.
        confirmation: share of the whole budget that confirmation may use.

    Raises:
        ConfigError: there is no limit, or one that is not positive.
    """

    trials: int | None = None
    env_steps: int | None = None
    seconds: float | None = None
    confirmation: float = 0.3

    def __post_init__(self) -> None:
        limits = {"trials": self.trials, "env_steps": self.env_steps, "seconds": self.seconds}
        if all(limit is None for limit in limits.values()):
            raise ConfigError("A sweep must have a budget: set trials, env_steps or seconds.")
        for name, limit in limits.items():
            if limit is not None and limit <= 0:
                raise ConfigError(f"{name} must be positive, but got {limit}.")
        if not 0 <= self.confirmation < 1:
            raise ConfigError(
                f"confirmation must be a share of the budget in [0, 1), but got "
                f"{self.confirmation}. 0.3 is the default, 0 leaves it out."
            )

    def check(self, num_first: int, env_steps_per_trial: int) -> None:
        """Refuses a budget that does not hold what is to be tried first.

        Args:
            num_first: trial 0 and the points that the user named.
            env_steps_per_trial: of each of them.

        Raises:
            ConfigError: it does not.
        """
        most = self.trials
        if self.env_steps is not None:
            held = int((1 - self.confirmation) * self.env_steps // env_steps_per_trial)
            most = held if most is None else min(most, held)
        if most is not None and most < num_first:
            raise ConfigError(
                f"The budget of the search must hold trial 0 and all points, {num_first} trials of "
                f"up to {env_steps_per_trial} env steps, but holds {most}. Raise trials or "
                "env_steps, or lower max_env_steps."
            )

    def allows_search(
        self, entries: Sequence[Entry], seconds: float, env_steps_per_trial: int
    ) -> bool:
        """Whether the search may begin another trial.

        Args:
            entries: of the search.
            seconds: of the sweep so far.
            env_steps_per_trial: what another one may use.
        """
        share = 1 - self.confirmation
        if self.trials is not None and len(entries) >= self.trials:
            return False
        if self.seconds is not None and seconds >= share * self.seconds:
            return False
        if self.env_steps is None:
            return True
        used = [e.env_steps if e.is_over else env_steps_per_trial for e in entries]
        return sum(used) + env_steps_per_trial <= share * self.env_steps

    def confirmation_runs(self, entries: Sequence[Entry], env_steps_per_run: int) -> int:
        """Returns how many confirmation runs the search has left over.

        Args:
            entries: of the search, all of them over.
            env_steps_per_run: of one run.
        """
        if not self.confirmation:
            return 0
        used = sum(entry.env_steps for entry in entries)
        share = self.confirmation / (1 - self.confirmation)
        runs = round(used * share / env_steps_per_run)
        if self.env_steps is None:
            return runs
        left = self.env_steps - used
        by_steps = max(0, left // env_steps_per_run)
        return min(runs, by_steps) if self.trials is not None else by_steps

    def allows_confirmation(self, seconds: float) -> bool:
        """Whether there is time for another run."""
        return self.seconds is None or seconds < self.seconds
