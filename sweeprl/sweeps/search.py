"""The search: the study's sampler proposes parameters, and every trial has the same budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from sweeprl.config import TrialConfig, merge
from sweeprl.search_spaces import SearchSpace
from sweeprl.search_spaces.optuna import encode, suggest
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.entries import Entry, root_of
from sweeprl.sweeps.objectives import Objective
from sweeprl.sweeps.seeds import PairedTest, SeedPlan
from sweeprl.sweeps.stage import Job, Stage
from sweeprl.trials.budget import budget_of

__all__ = ["Search", "enqueue_given"]


def enqueue_given(study: optuna.Study, base: TrialConfig, space: SearchSpace) -> None:
    """Lets the config wait as trial 0, as it was given."""
    given = encode(space, space.values_of(base), nearest=True)
    study.enqueue_trial(given, {"is_default": True}, skip_if_exists=True)


class Search(Stage):
    """Trials of a search.

    Args:
        base: what proposals are put into.
        space: what may be proposed.
        folder: of all trials' results.
        budget: of the sweep.
        clock: of the sweep.
        seed_plan: the seeds of each trial.
        objectives: what the study is told.
    """

    name = "search"

    def __init__(
        self,
        base: TrialConfig,
        space: SearchSpace,
        folder: Path,
        budget: SweepBudget,
        clock: Clock,
        seed_plan: SeedPlan,
        objectives: Sequence[Objective],
    ) -> None:
        self._base, self._space, self._folder = base, space, folder
        self._budget, self._clock = budget, clock
        self._seed_plan, self._objectives = seed_plan, objectives

    @property
    def planned(self) -> int | None:
        """As the budget says."""
        return self._budget.trials

    def wants_more(self, entries: Sequence[Entry]) -> bool:
        """Whether the budget allows for one more."""
        return self._budget.allows_search(entries, self._clock.seconds, self._most_env_steps)

    @property
    def _most_env_steps(self) -> int:
        """What one trial may use."""
        return budget_of(self._base) * len(self._seed_plan.all)

    def is_one_too_many(self, trial: FrozenTrial, entries: Sequence[Entry]) -> bool:
        """Whether the budget did not allow it after those that had begun before."""
        before = [entry for entry in entries if entry.number < root_of(trial)]
        if trial.user_attrs.get("is_default") and any(entry.is_default for entry in before):
            return True
        return not self._budget.allows_search(before, 0.0, self._most_env_steps)

    def propose(self, trial: optuna.Trial) -> dict[str, Any]:
        """What the sampler suggests, within the space's limits; trial 0 changes nothing."""
        params = suggest(trial, self._space)
        if trial.user_attrs.get("is_default"):
            return {}
        return self._space.resolve(self._base, params)

    def seeds(self, job: Job, entries: Callable[[], Sequence[Entry]]) -> tuple[int, ...]:
        """As the plan says."""
        return self._seed_plan.next(job, entries)

    def config(self, job: Job, seeds: Sequence[int]) -> TrialConfig:
        """The proposal, in the trial's folder."""
        folder = self._folder / f"{job.number:04}"
        if len(seeds) < len(self._seed_plan.all):
            folder /= f"seed-{seeds[0]}"
        return merge(self._base, {**job.params, "root_dir": str(folder)})

    def values(self, job: Job) -> list[float]:
        """One for each objective."""
        return [objective.value(job, self._base) for objective in self._objectives]

    def is_reported(self, job: Job) -> bool:
        """The first seeds' scores are, unless the study hears of whole seeds only."""
        return super().is_reported(job) and not isinstance(self._seed_plan, PairedTest)
