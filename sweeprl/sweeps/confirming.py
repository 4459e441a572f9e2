"""Confirming what any stored search has found: of a sweep, of NNI and Optuna, or imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sweeprl.errors import ConfigError
from sweeprl.executors import Executor
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.choosing import check_executor, opened_executor
from sweeprl.sweeps.confirmation import candidates
from sweeprl.sweeps.entries import Entry, entries_of
from sweeprl.sweeps.folder import SweepFolder, runs_of
from sweeprl.sweeps.opening import opened_storage, quiet_optuna
from sweeprl.sweeps.progress import NoView, Progress, SweepView
from sweeprl.sweeps.result import SweepResult
from sweeprl.sweeps.session import Session
from sweeprl.sweeps.slot import slot
from sweeprl.trials.budget import budget_of

__all__ = ["confirm"]


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
    if isinstance(executor, str):
        check_executor(executor, None)
    folder = SweepFolder(Path(root_dir))
    url, clock = folder.url(storage), Clock()
    with quiet_optuna(), slot(folder.root, url) as (worker, is_alone):
        with opened_storage(url, grace_seconds) as opened:
            study = folder.load(opened)
            base, space = folder.base(study), folder.space(study)
            found = entries_of(study.get_trials(deepcopy=False))
            budget = SweepBudget(trials=max(1, len(found)))
            most = _num_runs(num_runs, found, budget, budget_of(base))
            chosen = _chosen(found, runs_of(study), most, is_given=num_runs is not None)
            clock.add(study.user_attrs.get("seconds", 0.0))
            progress = Progress(view or NoView(), clock, budget, budget_of(base))
            with opened_executor(
                executor,
                base,
                space,
                folder.config_folder,
                progress.note,
                num_seeds=max(most, len(chosen)),
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
                return session.confirm(study, found, chosen, max(most, len(chosen)))


def _num_runs(
    given: int | None, found: Sequence[Entry], budget: SweepBudget, env_steps_per_run: int
) -> int:
    return budget.confirmation_runs(found, env_steps_per_run) if given is None else given


def _chosen(
    found: Sequence[Entry], runs: Sequence[Entry], num_runs: int, is_given: bool
) -> list[Entry]:
    """The configs to be confirmed: the best, the one that was given, and those that were before."""
    if not any(entry.state == "finished" for entry in found):
        raise ConfigError("A search must have a finished trial to be confirmed, but has none yet.")
    before = {run.trial.user_attrs.get("candidate") for run in runs}
    best = candidates(found, len(found), num_runs)
    chosen = best + [entry for entry in found if entry.number in before and entry not in best]
    if is_given and num_runs < len(chosen):
        raise ConfigError(
            f"--runs must be at least {len(chosen)}, one for each config that is compared, but is "
            f"{num_runs}."
        )
    return chosen
