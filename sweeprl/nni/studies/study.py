"""The stored study behind an NNI experiment: what `sweeprl sweep` writes, so that all read it.

NNI tells a tuner little of how a trial has ended, in no certain order, and after a resume nothing
of the trials that go on. So nothing is concluded from what it tells: whenever it says anything, the
study is told what stands in NNI's database and in the trials' folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from sweeprl.config import TrialConfig
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.reading.jobs import JobHistory
from sweeprl.nni.studies.outcomes import outcome_of
from sweeprl.search_spaces import SearchSpace
from sweeprl.search_spaces.nni import decode_nni, encode_nni
from sweeprl.search_spaces.optuna import suggest
from sweeprl.sweeps.attempts import Attempts
from sweeprl.sweeps.confirmation import FinalTest
from sweeprl.sweeps.entries import Entry, entries_of
from sweeprl.sweeps.folder import SweepFolder, runs_of
from sweeprl.sweeps.result import result_of
from sweeprl.trials.budget import budget_of, learning_starts
from sweeprl.trials.nni import GIVEN, TRIAL_NUMBER
from sweeprl.trials.optuna import OptunaReporter

__all__ = ["ExperimentStudy", "conclude", "link"]


@dataclass
class ExperimentStudy:
    """Proposes an experiment's trials, prunes them, and tells its study how they went.

    Args:
        database: of the experiment.
        folder: where the study says that it lies.
        attempts: at the study's trials, under a name that is the experiment's alone.
        base: what proposals are put into.
        space: what may be proposed.
        worker: that name.
    """

    database: ExperimentDatabase
    folder: SweepFolder
    attempts: Attempts
    base: TrialConfig
    space: SearchSpace
    worker: str
    _live: dict[int, optuna.Trial] = field(default_factory=dict)
    _reporters: dict[int, OptunaReporter] = field(default_factory=dict)
    _left: list[FrozenTrial] | None = None
    _settled: set[str] = field(default_factory=set)
    """NNI's IDs of the trials whose end the study has heard."""

    @property
    def study(self) -> optuna.Study:
        """The study."""
        return self.attempts.study

    @property
    def entries(self) -> list[Entry]:
        """Its trials."""
        return entries_of(self.attempts.all())

    # ---- what is to be trained

    def propose(self) -> dict[str, Any] | None:
        """Returns the next proposal as NNI takes it; None where the sampler has no more."""
        self.settle()
        if self._left is None:
            self._left = self._left_over()
        if self._left:
            trial = self._left.pop(0)
            self._live[trial.number] = optuna.Trial(self.study, trial._trial_id)
            return dict(trial.user_attrs["proposal"])
        if self.study._stop_flag:
            return None
        trial_here, frozen = self.attempts.begin()
        proposal, params = self._drawn(trial_here, bool(frozen.user_attrs.get("is_default")))
        trial_here.set_user_attr("params", params)
        trial_here.set_user_attr("proposal", proposal)
        self._live[trial_here.number] = trial_here
        return proposal

    def _drawn(self, trial: optuna.Trial, is_given: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """The proposal, and what the trial will make of it, by dotted path."""
        own = json.loads(json.dumps(encode_nni(self.space, suggest(trial, self.space))))
        if is_given:
            return {**own, TRIAL_NUMBER: trial.number, GIVEN: True}, {}
        params = self.space.resolve(self.base, decode_nni(self.space, own))
        return {**own, TRIAL_NUMBER: trial.number}, params

    def _left_over(self) -> list[FrozenTrial]:
        """What was proposed to an NNI that ended before it began the trial."""
        begun = {job.number for job in self.database.jobs()}
        left = [trial for number, trial in self._running().items() if number not in begun]
        for trial in left:
            if "proposal" not in trial.user_attrs:  # this process ended before it was made
                self.attempts.give_up(optuna.Trial(self.study, trial._trial_id))
        return [trial for trial in left if "proposal" in trial.user_attrs]

    def _running(self) -> dict[int, FrozenTrial]:
        """The experiment's trials that the study has not heard the end of, by number."""
        own = (self.worker, None) if self.attempts.is_alone else (self.worker,)
        return {
            trial.number: trial
            for trial in self.attempts.all()
            if trial.state is TrialState.RUNNING and trial.user_attrs.get("worker") in own
        }

    # ---- how it goes

    def report(self, number: int, reports: Mapping[int, float]) -> bool:
        """Takes note of a trial's scores by environment steps; whether it is to be stopped now."""
        if number not in self._live:
            return False
        trial = self._live[number]
        if number not in self._reporters:
            budget, warm_up = budget_of(self.base), 2 * learning_starts(self.base)
            self._reporters[number] = OptunaReporter(trial, budget, warm_up)
        reporter = self._reporters[number]
        try:
            for env_steps, score in reports.items():
                reporter.report(env_steps, score)
            if not reporter.should_stop():
                return False
            trial.set_user_attr("is_stopped", True)
        except UpdateFinishedTrialError:
            pass
        self._live.pop(number, None)
        return "is_stopped" in trial.user_attrs

    def settle(self) -> None:
        """Tells the study of the trials that have ended since."""
        running = self._running()
        for job in self.database.jobs(self._settled) if running else ():
            if job.number in running:
                self._settle(job, running[job.number])
            elif job.is_over:
                self._settled.add(job.id)
        seconds = self.database.profile()["seconds"]
        self.study.set_user_attr("seconds", seconds)

    def _settle(self, job: JobHistory, trial: FrozenTrial) -> None:
        link(self.folder, trial.number, job.folder)
        was_stopped = bool(trial.user_attrs.get("is_stopped"))
        outcome = outcome_of(job, self.base.seed, was_stopped)
        if outcome is None:
            return
        storage = self.study._storage
        with suppress(UpdateFinishedTrialError):
            storage.set_trial_user_attr(trial._trial_id, "job", job.id)
            for env_steps in sorted(job.reports.keys() - trial.intermediate_values.keys()):
                storage.set_trial_intermediate_value(
                    trial._trial_id, env_steps, job.reports[env_steps]
                )
            # Samplers that know when they are done say so from here.
            self.study._thread_local.in_optimize_loop = True
            try:
                self.attempts.tell(storage.get_trial(trial._trial_id), outcome)
            finally:
                self.study._thread_local.in_optimize_loop = False
        self._settled.add(job.id)
        self._live.pop(trial.number, None)
        self._reporters.pop(trial.number, None)

    def is_done(self, num_trials: int | None) -> bool:
        """Whether nothing more will be trained.

        Args:
            num_trials: after which the experiment is over; None where only the sampler ends it.
        """
        is_over = [entry.is_over for entry in self.entries]
        is_enough = num_trials is not None and sum(is_over) >= num_trials
        return is_enough or (self.study._stop_flag and all(is_over))

    def conclude(self, num_trials: int | None, is_last: bool = False) -> None:
        """Writes what was found so far, as a sweep does at its end.

        Args:
            num_trials: after which the experiment is over; None where only the sampler ends it.
            is_last: whether NNI has ended. It asks for more proposals than it trains; until then it
                may still train them, where its user raises the number.
        """
        self.settle()
        is_done = self.is_done(num_trials)
        if is_done and is_last:
            for trial in self._left_over():
                self.attempts.give_up(optuna.Trial(self.study, trial._trial_id))
        conclude(self.study, self.folder, self.base, is_done)


def conclude(study: optuna.Study, folder: SweepFolder, base: TrialConfig, is_done: bool) -> None:
    """Writes `result.json` and `best.json` of what a study has found so far.

    Args:
        study: of the search.
        folder: of the sweep.
        base: what proposals are put into.
        is_done: whether nothing more will be trained.
    """
    entries, runs = entries_of(study.get_trials(deepcopy=False)), runs_of(study)
    seconds = float(study.user_attrs.get("seconds", 0.0))
    status: Literal["finished", "stopped"] = "finished" if is_done else "stopped"
    tests = runs_of(study, FinalTest.name)
    result_of(status, base, entries, runs, tests, seconds).save(folder.root)


def link(folder: SweepFolder, number: int, target: Path) -> None:
    """Lets the folder of a sweep's trial be NNI's folder of it."""
    place = folder.trials / f"{number:04}"
    if place.exists() or not target.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)  # what it led to is gone
    is_inside = folder.root.parent in target.parents
    place.symlink_to(os.path.relpath(target, place.parent) if is_inside else target.resolve())
