"""What a coordinator needs to know of a stage of a sweep: what its trials are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from sweeprl.config import TrialConfig
from sweeprl.sweeps.entries import Entry
from sweeprl.trials import TrialOutcome

__all__ = ["Job", "Stage"]


@dataclass
class Job:
    """An attempt at a trial, while it runs here."""

    trial: optuna.Trial
    number: int
    """Of the trial's first attempt."""
    params: Mapping[str, Any]
    """What was proposed, by dotted path."""
    is_repeated: bool = False
    """Whether it goes on from an attempt that was interrupted."""
    reports: dict[int, float] = field(default_factory=dict)
    """Scores on the grid, by environment steps."""
    scores: dict[int, float] = field(default_factory=dict)
    """By seed, of those that are trained to the end."""
    test_returns: dict[int, float | None] = field(default_factory=dict)
    """By seed: mean return of the final test."""
    env_steps: int = 0
    """Of the seeds that have ended."""
    seconds: float = 0.0
    """Of the seeds that have ended."""
    is_lost: bool = False
    """Whether another coordinator has taken it over."""

    @property
    def score(self) -> float | None:
        """Mean over the seeds that are trained to the end."""
        return fmean(self.scores.values()) if self.scores else None

    def take(self, outcome: TrialOutcome) -> None:
        """Adds the seeds that have ended."""
        for record in outcome.records:
            if record.score is not None and outcome.status == "finished":
                self.scores[record.seed] = record.score
                self.test_returns[record.seed] = record.test_return
            self.env_steps += record.env_steps
            self.seconds = round(self.seconds + record.seconds, 3)

    def so_far(self) -> dict[str, Any]:
        """What is kept of the seeds that have ended, in plain values."""
        return {
            "scores": {str(seed): score for seed, score in self.scores.items()},
            "test_returns": {str(seed): value for seed, value in self.test_returns.items()},
            "env_steps": self.env_steps,
            "seconds": self.seconds,
        }

    @staticmethod
    def by_seed(values: Mapping[str, Any]) -> dict[int, Any]:
        """Undoes what JSON makes of seeds."""
        return {int(seed): value for seed, value in values.items()}


class Stage(ABC):
    """The trials of one study: the search for good parameters, or their confirmation."""

    name: str

    @property
    @abstractmethod
    def planned(self) -> int | None:
        """How many trials there will be; None where the budget is not one of trials."""

    @abstractmethod
    def wants_more(self, entries: Sequence[Entry]) -> bool:
        """Whether a trial that nobody has asked for yet is wanted now."""

    @abstractmethod
    def is_one_too_many(self, trial: FrozenTrial, entries: Sequence[Entry]) -> bool:
        """Whether one that was just asked for is too much, or there already."""

    def enqueue(self, study: optuna.Study, entries: Sequence[Entry]) -> None:
        """Lets the trial that is wanted wait in the study, where the sampler does not choose it."""
        return None

    def label(self, job: Job) -> str:
        """Returns how a job is called where its progress is shown."""
        return str(job.number)

    @abstractmethod
    def propose(self, trial: optuna.Trial) -> dict[str, Any]:
        """Returns the parameters of a trial that begins, by dotted path."""

    @abstractmethod
    def seeds(self, job: Job, entries: Callable[[], Sequence[Entry]]) -> tuple[int, ...]:
        """Returns the seeds that a job is to be trained on next; none where it is done."""

    @abstractmethod
    def config(self, job: Job, seeds: Sequence[int]) -> TrialConfig:
        """Returns what is trained of a job on its next seeds."""

    @abstractmethod
    def values(self, job: Job) -> list[float]:
        """Returns what the study is told of a job that is done."""

    def goes_on(self, job: Job) -> bool:
        """Whether a job begins with what lies in its folder."""
        return job.is_repeated

    def is_reported(self, job: Job) -> bool:
        """Whether the scores of the next seeds on the grid go to the study, and may prune it."""
        return not job.scores
