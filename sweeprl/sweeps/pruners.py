"""Pruners: which trials are not worth the rest of their budget.

Trials report on a grid of environment steps. Everything here is in environment steps, too: pruners
take the step of a report for the resource that the trial has used.

No pruner stops a trial at its last report, where nothing is left to be saved and a complete trial
would be lost.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.trial import FrozenTrial

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.sweeps.samplers import load_class
from sweeprl.trials.budget import budget_of, learning_starts

__all__ = ["PRUNERS", "default_pruner", "make_pruner", "pruner_for"]

PRUNERS = ("none", "median", "percentile", "asha", "hyperband", "patient", "wilcoxon")
"""The pruners that have a name; others are written `module:Class`."""

STARTUP_TRIALS = 5
"""Complete trials that a trial is compared with at least."""

PATIENCE = 3
"""Reports without an improvement."""

REDUCTION_FACTOR = 3
"""One trial of so many passes a rung."""


@dataclass(frozen=True)
class _Course:
    """How far a trial goes, and where it reports; in environment steps."""

    budget: int
    every: int
    learning_starts: int

    @property
    def last_report(self) -> int:
        return self.budget // self.every * self.every

    def first(self, share: float) -> int:
        """Returns the first report after that share of the budget, and well after learning began.

        While a frame only fills its replay buffer, its returns say nothing about the parameters.
        """
        steps = max(self.budget * share, 2 * self.learning_starts)
        # Rounded, or a third of 3000 would come after the report at 1000.
        return -int(-round(steps, 6) // self.every) * self.every

    def first_rung(self) -> int:
        """Returns the first rung of a ladder that has none at the last report.

        Rungs are `REDUCTION_FACTOR` times as high as the one before, and a trial is judged at its
        first report on or above a rung.
        """
        rung = max(self.first(1 / 5), self.every)
        while any(self._is_last(one) for one in (rung, 3 * rung, 9 * rung)):
            rung += self.every
        return rung

    def _is_last(self, rung: int) -> bool:
        return self.last_report - self.every < rung <= self.last_report


def make_pruner(
    name: str | BasePruner,
    budget: int,
    every: int,
    learning_starts: int,
    num_trials: int | None,
) -> BasePruner:
    """Makes the pruner that `name` stands for.

    - `median`: a trial whose best score so far is below the median of the complete trials' scores
      at the same step is stopped; from a third of the budget on, and when `STARTUP_TRIALS` trials
      are complete.
    - `percentile`: as `median`, but only the worst quarter is stopped.
    - `patient`: as `median`, and only when the last three reports brought no improvement.
    - `asha`: the best third goes on at a fifth of the budget and at three times that (Li et al.
      2018, https://arxiv.org/abs/1810.05934). It compares with running trials, too.
    - `hyperband`: as `asha`, and some of the trials skip the first rung (Li et al. 2017,
      https://arxiv.org/abs/1603.06560).
    - `wilcoxon`: a trial that is worse than the best on the same seeds. The step of a report is
      the index of its seed, 0, 1, 2..., not environment steps.

    None of them stops a trial before twice `learning_starts`.

    Args:
        name: one of `PRUNERS`, an importable `module:Class`, or a pruner, which is returned.
        budget: environment steps of a whole trial.
        every: environment steps between two reports.
        learning_starts: environment steps before the first update.
        num_trials: of the sweep, where it is given; so few that none could be compared are not
            pruned.

    Raises:
        UnknownNameError: no pruner has that name.
        ConfigError: there would be no report within the budget.
    """
    if isinstance(name, BasePruner):
        return name
    if name not in _MAKERS:
        pruner: BasePruner = load_class(name, "pruner", BasePruner, PRUNERS)()
        return pruner
    if name == "none":
        return NopPruner()
    if name == "wilcoxon":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return WilcoxonPruner(p_threshold=0.1, n_startup_steps=2)
    if not 0 < every <= budget:
        raise ConfigError(
            "`0 < report_every_env_steps <= max_env_steps` must hold where trials are pruned, but "
            f"got report_every_env_steps={every}, max_env_steps={budget}."
        )
    if num_trials is not None and num_trials <= STARTUP_TRIALS:
        return NopPruner()
    return _MAKERS[name](_Course(budget, every, learning_starts))


def pruner_for(
    base: TrialConfig,
    name: str | BasePruner,
    num_trials: int | None,
    *,
    is_lanes: bool = False,
    num_objectives: int = 1,
) -> BasePruner:
    """Makes the pruner called `name` such that it suits trials of a config; knows `auto`, too.

    Args:
        base: what is tuned.
        name: as `make_pruner` takes it, or `auto`: `default_pruner`, where there is something to
            be pruned by.
        num_trials: of the sweep; None where its budget is one of steps or of time.
        is_lanes: whether trials are trained as lanes.
        num_objectives: how many scores a trial has.

    Raises:
        UnknownNameError: no pruner has that name.
        ConfigError: there would be nothing to be pruned by.
    """
    budget, every = budget_of(base), base.report_every_env_steps
    if name == "auto":
        can_prune = num_objectives == 1 and every <= budget
        name = default_pruner(num_trials, is_lanes) if can_prune else "none"
    if num_objectives > 1 and name != "none":
        raise ConfigError(
            f"Trials of several objectives cannot be pruned, but got pruner={name!r}. "
            "Leave it at auto."
        )
    return make_pruner(name, budget, every, learning_starts(base), num_trials)


def default_pruner(num_trials: int | None, is_lanes: bool) -> str:
    """Returns the name of the pruner that suits a sweep.

    Where the number of trials is given, what a pruner saves is time, and what it stops cannot win:
    ASHA, which lets a few trials through, finds worse winners than the median, which stops those
    that are clearly behind. Where environment steps or time are given, further trials come of what
    is saved, and lanes run so many trials at once that the median has nothing to compare the first
    of them with; ASHA has. Measured for the steps of 16 and 64 trials: benchmarks/README.md, "How a
    search should spend its steps". From 256 on a pruner gained nothing on a synthetic landscape.

    Args:
        num_trials: of the sweep; None where it may begin as many as its steps or its time allow.
        is_lanes: whether trials are trained as lanes, in lock-step.

    >>> default_pruner(64, is_lanes=True), default_pruner(None, is_lanes=True)
    ('median', 'asha')
    """
    if num_trials is None:
        return "asha" if is_lanes else "median"
    return "median" if num_trials < 256 else "none"


class _UntilTheLastReport(BasePruner):
    """Asks another pruner, but not at the last report."""

    def __init__(self, pruner: BasePruner, last_report: int) -> None:
        self._pruner, self._last_report = pruner, last_report

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        is_before = step is not None and step < self._last_report
        return is_before and self._pruner.prune(study, trial)


class _WhenStalled(BasePruner):
    """Asks another pruner when the last `PATIENCE` reports brought no improvement.

    Optuna's PatientPruner asks when they got worse, and so never where a trial sits on the lowest
    return there is.
    """

    def __init__(self, pruner: BasePruner) -> None:
        self._pruner = pruner

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        values = [value for _, value in sorted(trial.intermediate_values.items())]
        before, after = values[:-PATIENCE], values[-PATIENCE:]
        if not before:
            return False
        is_up = study.direction == optuna.study.StudyDirection.MAXIMIZE
        is_better = max(after) > max(before) if is_up else min(after) < min(before)
        return not is_better and self._pruner.prune(study, trial)


def _median(course: _Course) -> BasePruner:
    return _percentile(course, 50.0)


def _percentile(course: _Course, percentile: float = 75.0) -> BasePruner:
    # Of 75, the best 75 % go on.
    pruner = PercentilePruner(
        percentile, n_startup_trials=STARTUP_TRIALS, n_warmup_steps=course.first(1 / 3)
    )
    return _UntilTheLastReport(pruner, course.last_report)


def _patient(course: _Course) -> BasePruner:
    median = MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=course.first(1 / 3))
    return _UntilTheLastReport(_WhenStalled(median), course.last_report)


def _asha(course: _Course) -> BasePruner:
    return SuccessiveHalvingPruner(
        min_resource=course.first_rung(), reduction_factor=REDUCTION_FACTOR
    )


def _hyperband(course: _Course) -> BasePruner:
    lowest = course.first_rung()
    # With the budget itself a bracket could have its first rung at the last report. Samplers know
    # Hyperband by its class, so that it cannot be wrapped.
    highest = max(lowest, course.last_report - course.every)
    return HyperbandPruner(
        min_resource=lowest, max_resource=highest, reduction_factor=REDUCTION_FACTOR
    )


def _never(course: _Course) -> BasePruner:
    return NopPruner()


_MAKERS: dict[str, Callable[[_Course], BasePruner]] = {
    "none": _never,
    "median": _median,
    "percentile": _percentile,
    "asha": _asha,
    "hyperband": _hyperband,
    "patient": _patient,
    "wilcoxon": _never,
}
