"""Trials of an Optuna study: an objective for any study, and the reporter behind it."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

import optuna

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError, SweepFailed
from sweeprl.registry import importable
from sweeprl.search_spaces import SearchSpace
from sweeprl.search_spaces.optuna import suggest
from sweeprl.trials.budget import budget_of, learning_starts
from sweeprl.trials.reporter import Reporter
from sweeprl.trials.trial import TrialOutcome

__all__ = ["Failures", "OptunaObjective", "OptunaReporter"]


class OptunaReporter(Reporter):
    """Tells an Optuna trial the scores, and asks its pruner.

    The pruner is not asked before `warm_up`, nor at the end of the budget: a trial that is all but
    finished costs nothing more. Studies of several objectives do not prune; their trials keep the
    scores as the attribute `reports`.

    Args:
        trial: a running trial.
        budget: environment steps of the trial.
        warm_up: environment steps before which it is not pruned.
        reports: what the trial has told before it was interrupted, by environment steps; what it
            tells is added.
    """

    def __init__(
        self,
        trial: optuna.Trial,
        budget: int,
        warm_up: int = 0,
        reports: dict[int, float] | None = None,
    ) -> None:
        self.outcome: TrialOutcome | None = None
        """How it ended; None while it runs."""
        self._trial, self._budget, self._warm_up = trial, budget, warm_up
        self._has_one_objective = len(trial.study.directions) == 1
        self._reports = {} if reports is None else reports
        self._latest = 0

    def report(self, env_steps: int, score: float) -> None:
        """Hands it on, unless that was done before."""
        self._latest = env_steps
        if env_steps in self._reports:
            return
        self._reports[env_steps] = score
        if self._has_one_objective:
            self._trial.report(score, env_steps)
        else:
            self._trial.set_user_attr("reports", self._reports)

    def should_stop(self) -> bool:
        """Asks the study's pruner."""
        is_time = self._has_one_objective and self._warm_up <= self._latest < self._budget
        return is_time and self._trial.should_prune()

    def finish(self, outcome: TrialOutcome) -> None:
        """Keeps the outcome."""
        self.outcome = outcome


class Failures:
    """Ends a sweep whose trials fail in the same way one after the other: it is no chance.

    Args:
        limit: how many equal failures in a row are too many.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kind, self._count = "", 0

    def take(self, status: str, reason: str) -> None:
        """Takes note of how a trial ended, and why.

        Raises:
            SweepFailed: too many have failed in the same way.
        """
        kind = re.sub(r"[-+.\d]+", "#", reason) if status == "failed" else ""
        self._count = self._count + 1 if kind and kind == self._kind else 1
        self._kind = kind
        if kind and self._count >= self._limit:
            raise SweepFailed(
                f"At most {self._limit - 1} trials in a row may fail in the same way, but "
                f"{self._count} did: {reason}. Mend the environment or narrow the search "
                "space, and start again."
            )


class OptunaObjective:
    """The objective of a study: proposes parameters, trains a trial, returns its score.

    `study.optimize(OptunaObjective(base, space), n_trials=50)` with any sampler and any pruner; in
    an ask-and-tell loop, `study.tell(trial, objective(trial))`, where a pruner's TrialPruned is the
    caller's to catch. A trial that diverges, or whose
    environment raises, has the value NaN, which Optuna takes for a failed trial; a fault of the
    code is raised and ends `optimize`. Each trial's folder is `root_dir/NNNN`, after its number.

    Args:
        base: what the parameters are put into, with the folder of all trials as its root_dir.
        space: what may be proposed; the frame's own by default.
        seeds: each trial is trained on all of them, and its score is their mean; by default on
            the config's own.
        warm_up: environment steps before which no trial is pruned; by default a third of the
            budget, and twice the steps before learning starts.
        max_equal_failures: how many equal failures in a row end the study.
        config_folder: a folder whose modules the config may name.

    Raises:
        ConfigError: the space does not fit the config, or the config sets no budget.
    """

    def __init__(
        self,
        base: TrialConfig,
        space: SearchSpace | None = None,
        *,
        seeds: Sequence[int] = (),
        warm_up: int | None = None,
        max_equal_failures: int = 5,
        config_folder: str = "",
    ) -> None:
        self.base = base
        self.space = space or SearchSpace.of_config(base)
        with importable([config_folder] if config_folder else []):
            self.space.check(base)
        self._budget = budget_of(base)
        late = max(self._budget // 3, 2 * learning_starts(base))
        self._warm_up = late if warm_up is None else warm_up
        self._seeds, self._config_folder = seeds, config_folder
        self._failures = Failures(max_equal_failures)

    def __call__(self, trial: optuna.Trial) -> float:
        """Trains one trial.

        Raises:
            TrialPruned: the study's pruner ended it.
            KeyboardInterrupt: a signal ended it.
            SweepFailed: too many trials in a row have failed in the same way.
            ConfigError: the study does not maximise one objective.
        """
        from sweeprl.trials.running import run_trial  # which imports torch, unlike the reporter

        if trial.study.directions != [optuna.study.StudyDirection.MAXIMIZE]:
            found = [direction.name.lower() for direction in trial.study.directions]
            raise ConfigError(
                f"The study must maximise one objective, the score, but got directions={found}. "
                'Create it with direction="maximize".'
            )
        params = self.space.resolve(self.base, suggest(trial, self.space))
        trial.set_user_attr("params", params)
        reporter = OptunaReporter(trial, self._budget, self._warm_up)
        folder = Path(self.base.root_dir) / f"{trial.number:04}"
        outcome = run_trial(
            self.base.model_copy(update={"root_dir": str(folder)}),
            params,
            reporter,
            seeds=self._seeds,
            config_folder=self._config_folder,
        )
        trial.set_user_attr("outcome", outcome.summary())
        self._failures.take(outcome.status, outcome.reason)
        if outcome.status == "pruned":
            raise optuna.TrialPruned(outcome.reason)
        if outcome.status == "stopped":
            raise KeyboardInterrupt(outcome.reason)
        return math.nan if outcome.score is None else outcome.score
