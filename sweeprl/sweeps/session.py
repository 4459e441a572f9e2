"""One process's work on a sweep, from when it takes its place to when it gives it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import optuna

from sweeprl.config import TrialConfig
from sweeprl.executors import Executor
from sweeprl.sweeps.attempts import Attempts
from sweeprl.sweeps.budget import Clock, SweepBudget
from sweeprl.sweeps.confirmation import Confirmation, FinalTest, planned_confirmation
from sweeprl.sweeps.coordinator import Coordinator
from sweeprl.sweeps.entries import Entry, entries_of
from sweeprl.sweeps.folder import SweepFolder, runs_name, runs_of
from sweeprl.sweeps.progress import Progress
from sweeprl.sweeps.result import SweepResult, result_of
from sweeprl.sweeps.stage import Stage
from sweeprl.trials.budget import budget_of
from sweeprl.trials.optuna import Failures

__all__ = ["Session"]


@dataclass
class Session:
    """Runs the stages of a sweep.

    Args:
        base: the config of the sweep.
        folder: of everything it writes.
        budget: what it may use.
        clock: what it has used of the time.
        progress: shows how it goes.
        executor: trains.
        worker: name of this process among those that share the sweep.
        is_alone: whether none can.
        grace_seconds: after which one that gives no sign of life is taken for dead.
        max_equal_failures: how many equal failures in a row end the sweep.
        config_folder: a folder whose modules the config may name.
    """

    base: TrialConfig
    folder: SweepFolder
    budget: SweepBudget
    clock: Clock
    progress: Progress
    executor: Executor
    worker: str
    is_alone: bool
    grace_seconds: float
    max_equal_failures: int
    config_folder: str

    def run(
        self,
        study: optuna.Study,
        search: Stage,
    ) -> SweepResult:
        """Searches and confirms."""
        found = self._run(study, study, search)
        if self.executor.was_stopped:
            return self._result("stopped", study, found)
        chosen, num_runs = planned_confirmation(found, self.budget, budget_of(self.base))
        if not chosen:
            if self.budget.confirmation:
                self.progress.note("Nothing is confirmed: there is no budget, or no score, for it.")
            return self._result("finished", study, found)
        return self.follow(Confirmation, study, found, chosen, num_runs)

    def follow(
        self,
        stage: type[Confirmation],
        study: optuna.Study,
        found: Sequence[Entry],
        chosen: Sequence[Entry],
        num_runs: int,
    ) -> SweepResult:
        """Runs a stage that follows the search, or goes on with it; nothing is proposed in it.

        Args:
            stage: confirmation or final test.
            study: of the search.
            found: its trials.
            chosen: those to be confirmed or tested.
            num_runs: most runs of all, those that have been made included.
        """
        own = optuna.create_study(
            study_name=runs_name(study.study_name, stage.name),
            storage=study._storage,
            sampler=optuna.samplers.RandomSampler(),
            pruner=optuna.pruners.NopPruner(),
            direction="maximize",
            load_if_exists=True,
        )
        runs = stage(
            self.base,
            chosen,
            num_runs,
            self.folder.runs_in(stage.name),
            self.budget,
            self.clock,
        )
        self._run(study, own, runs)
        return self._result("stopped" if self.executor.was_stopped else "finished", study, found)

    def _run(self, search: optuna.Study, study: optuna.Study, stage: Stage) -> list[Entry]:
        attempts = Attempts(study, self.worker, self.is_alone, self.grace_seconds)
        self.progress.begin(stage, entries_of(attempts.all()))

        def keep_time() -> None:
            search.set_user_attr("seconds", round(self.clock.seconds, 1))

        coordinator = Coordinator(
            attempts,
            stage,
            self.progress,
            Failures(self.max_equal_failures),
            self.config_folder,
            keep_time,
        )
        coordinator.run(self.executor)
        return entries_of(attempts.all())

    def _result(
        self, status: Literal["finished", "stopped"], study: optuna.Study, found: Sequence[Entry]
    ) -> SweepResult:
        runs, tests = runs_of(study), runs_of(study, FinalTest.name)
        result = result_of(status, self.base, found, runs, tests, self.clock.seconds)
        result.save(self.folder.root)
        self.progress.end(**result.to_dict())
        return result
