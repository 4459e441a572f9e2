"""Confirming and testing what any stored search has found: of a sweep, of NNI, or imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import optuna

from sweeprl.errors import ConfigError
from sweeprl.executors import Executor
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.choosing import check_executor, opened_executor
from sweeprl.sweeps.confirmation import Confirmation, FinalTest, candidates, ranking
from sweeprl.sweeps.entries import Entry, entries_of
from sweeprl.sweeps.folder import SweepFolder, runs_of
from sweeprl.sweeps.opening import opened_storage, quiet_optuna
from sweeprl.sweeps.progress import NoView, Progress, SweepView
from sweeprl.sweeps.result import SweepResult, winner_and_default
from sweeprl.sweeps.session import Session
from sweeprl.sweeps.slot import slot
from sweeprl.trials.budget import budget_of

__all__ = ["confirm", "final_test"]

_Plan = Callable[[optuna.Study, Sequence[Entry], int], tuple[list[Entry], int]]
"""`(study, found, env_steps_per_run)` to the configs that are to be trained, and how many runs."""


def confirm(
    root_dir: str | Path,
    num_runs: int | None = None,
    *,
    executor: str | Executor = "auto",
    storage: str | None = None,
    max_equal_failures: int = 5,
    grace_seconds: int = 120,
    view: SweepView | None = None,
    **executor_options: Any,
) -> SweepResult:
    """Trains the best configs of a search on fresh seeds, or goes on with that.

    Args:
        root_dir: folder of the sweep.
        num_runs: most runs in all, earlier ones included; by default what a sweep would make of
            three tenths of its budget, and one for each of the best at least.
        executor: auto, lanes, processes, in-process, or an executor.
        storage: URL of the sweep's database, where its password is needed.
        max_equal_failures: how many equal failures in a row end it.
        grace_seconds: without a sign of life, after which another process's runs are taken over.
        view: shows how it goes.
        executor_options: num_workers or num_lanes.

    Raises:
        ConfigError: there is no such sweep, none of its trials has finished, or the runs are too
            few.
        Occupied: another process is at work on the sweep.
        SweepFailed: runs failed again and again, or the database did not come back.
    """

    def plan(
        study: optuna.Study, found: Sequence[Entry], env_steps: int
    ) -> tuple[list[Entry], int]:
        budget = SweepBudget(trials=max(1, len(found)))
        most = budget.confirmation_runs(found, env_steps) if num_runs is None else num_runs
        chosen = _chosen(found, runs_of(study), most, is_given=num_runs is not None)
        return chosen, max(most, len(chosen))

    settings = (executor, storage, max_equal_failures, grace_seconds, view, executor_options)
    return _train(Path(root_dir), Confirmation, plan, *settings)


def final_test(
    root_dir: str | Path,
    num_seeds: int = 10,
    *,
    executor: str | Executor = "auto",
    storage: str | None = None,
    max_equal_failures: int = 5,
    grace_seconds: int = 120,
    view: SweepView | None = None,
    **executor_options: Any,
) -> SweepResult:
    """Trains the winner and trial 0 on seeds that chose neither, or goes on with that.

    What confirmation says of the winner is the best of several means, and so somewhat too much;
    this is what a run of it is worth.

    Args:
        root_dir: folder of the sweep.
        num_seeds: for each of the two, those of an earlier test included.
        executor: as for `confirm`.
        storage: as for `confirm`.
        max_equal_failures: as for `confirm`.
        grace_seconds: as for `confirm`.
        view: as for `confirm`.
        executor_options: as for `confirm`.

    Raises:
        ConfigError: there is no such sweep, or none of its trials has finished.
        Occupied: another process is at work on the sweep.
        SweepFailed: runs failed again and again, or the database did not come back.
    """

    def plan(
        study: optuna.Study, found: Sequence[Entry], env_steps: int
    ) -> tuple[list[Entry], int]:
        _check_finished(found, "tested")
        winner, default = winner_and_default(found, ranking(runs_of(study), found))
        chosen = {one.number: one for one in (winner, default) if one is not None}
        return list(chosen.values()), num_seeds * len(chosen)

    settings = (executor, storage, max_equal_failures, grace_seconds, view, executor_options)
    return _train(Path(root_dir), FinalTest, plan, *settings)


def _train(
    root: Path,
    stage: type[Confirmation],
    plan: _Plan,
    executor: str | Executor,
    storage: str | None,
    max_equal_failures: int,
    grace_seconds: int,
    view: SweepView | None,
    executor_options: dict[str, Any],
) -> SweepResult:
    """Opens a sweep, and runs a stage of it as planned."""
    if isinstance(executor, str):
        check_executor(executor, None)
    folder = SweepFolder(root)
    url, clock = folder.url(storage), Clock()
    with quiet_optuna(), slot(folder.root, url) as (worker, is_alone):
        with opened_storage(url, grace_seconds) as opened:
            study = folder.load(opened)
            base, space = folder.base(study), folder.space(study)
            found = entries_of(study.get_trials(deepcopy=False))
            chosen, num_runs = plan(study, found, budget_of(base))
            budget = SweepBudget(trials=max(1, len(found)))
            clock.add(study.user_attrs.get("seconds", 0.0))
            progress = Progress(view or NoView(), clock, budget, budget_of(base))
            with opened_executor(
                executor,
                base,
                space,
                folder.config_folder,
                progress.note,
                num_seeds=num_runs,
                **executor_options,
            ) as opened_one:
                session = Session(
                    base,
                    folder,
                    budget,
                    clock,
                    progress,
                    opened_one,
                    worker,
                    is_alone,
                    grace_seconds,
                    max_equal_failures,
                    folder.config_folder,
                )
                return session.follow(stage, study, found, chosen, num_runs)


def _check_finished(found: Sequence[Entry], what: str) -> None:
    if not any(entry.state == "finished" for entry in found):
        raise ConfigError(f"A search must have a finished trial to be {what}, but has none yet.")


def _chosen(
    found: Sequence[Entry], runs: Sequence[Entry], num_runs: int, is_given: bool
) -> list[Entry]:
    """The configs to be confirmed: the best, the one that was given, and those that were before."""
    _check_finished(found, "confirmed")
    before = {run.trial.user_attrs.get("candidate") for run in runs}
    best = candidates(found, len(found), num_runs)
    chosen = best + [entry for entry in found if entry.number in before and entry not in best]
    if is_given and num_runs < len(chosen):
        raise ConfigError(
            f"--runs must be at least {len(chosen)}, one for each config that is compared, but is "
            f"{num_runs}."
        )
    return chosen
