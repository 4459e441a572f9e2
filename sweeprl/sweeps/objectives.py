"""What a sweep makes as good as it can: the score, and on request more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import pstdev
from typing import Literal

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.sweeps.stage import Job
from sweeprl.trials.budget import budget_of

__all__ = ["Objective", "objectives_of"]

_NAMES = ("score", "env_steps_to", "seconds", "deviation")


@dataclass(frozen=True)
class Objective:
    """One of them.

    Args:
        name: score; env_steps_to: environment steps until the score on the grid reaches
            `threshold`, twice the budget where it never does; seconds: wall-clock seconds of the
            training; deviation: standard deviation of the scores over the seeds.
        threshold: for env_steps_to.
    """

    name: str
    threshold: float = 0.0

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which way is better."""
        return "maximize" if self.name == "score" else "minimize"

    @property
    def label(self) -> str:
        """How it is written: `env_steps_to:475`."""
        return f"{self.name}:{self.threshold:g}" if self.name == "env_steps_to" else self.name

    def value(self, job: Job, config: TrialConfig) -> float:
        """Returns what a job that is done is worth."""
        if self.name == "score":
            assert job.score is not None
            return job.score
        if self.name == "seconds":
            return job.seconds
        if self.name == "deviation":
            return pstdev(job.scores.values())
        reached = [step for step, score in job.reports.items() if score >= self.threshold]
        return float(min(reached, default=2 * budget_of(config)))


def objectives_of(words: Sequence[str], num_seeds: int) -> tuple[Objective, ...]:
    """Reads objectives as they are written on a command line.

    Raises:
        ConfigError: one is unknown, or cannot be measured.

    >>> [objective.label for objective in objectives_of(["score", "env_steps_to:475"], 1)]
    ['score', 'env_steps_to:475']
    """
    found = tuple(_objective(word) for word in words)
    if not found or found[0].name != "score":
        raise ConfigError(
            f"The first objective must be score, but got {list(words)}. Others may follow it."
        )
    if num_seeds < 2 and any(objective.name == "deviation" for objective in found):
        raise ConfigError(
            f"The objective deviation needs at least 2 seeds for each trial, but got {num_seeds}."
        )
    return found


def _objective(word: str) -> Objective:
    name, _, threshold = word.partition(":")
    if name not in _NAMES:
        raise ConfigError(
            f"No objective named '{word}'.{did_you_mean(name, _NAMES)} Known: {', '.join(_NAMES)}."
        )
    if name != "env_steps_to":
        return Objective(name)
    try:
        return Objective(name, float(threshold))
    except ValueError:
        raise ConfigError(
            f"env_steps_to must name a score, env_steps_to:475 for example, but got '{word}'."
        ) from None
