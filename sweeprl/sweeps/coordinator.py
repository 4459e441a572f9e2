"""The one who owns a study: asks it for trials, has them trained, and tells it how they went."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from sweeprl.errors import DatabaseFailed
from sweeprl.executors import Executor
from sweeprl.sweeps.attempts import Attempts, Heart
from sweeprl.sweeps.entries import Entry, entries_of, is_repeated_twice, root_of
from sweeprl.sweeps.progress import Progress
from sweeprl.sweeps.stage import Job, Stage
from sweeprl.trials import Reporter, Trial, TrialOutcome
from sweeprl.trials.budget import budget_of, learning_starts
from sweeprl.trials.optuna import Failures, OptunaReporter

__all__ = ["Coordinator"]

_POLL_SECONDS = 1.0

_MOST_SURPLUS = 5
"""Attempts in a row that may be one too many before others are given time."""


class Coordinator:
    """Runs a stage of a sweep; the executor takes trials from it as from an iterator.

    Args:
        attempts: at the trials of the study.
        stage: what these trials are.
        progress: hears how it goes.
        failures: ends the sweep where trials fail again and again.
        config_folder: a folder whose modules the config may name.
        keep_time: writes down, now and then, how long the sweep has lasted.
    """

    def __init__(
        self,
        attempts: Attempts,
        stage: Stage,
        progress: Progress,
        failures: Failures,
        config_folder: str = "",
        keep_time: Callable[[], None] = lambda: None,
    ) -> None:
        self._attempts, self._stage, self._progress = attempts, stage, progress
        self._failures, self._config_folder = failures, config_folder
        self._keep_time = keep_time
        self._num_begun = 0
        self._live: dict[int, Job] = {}
        self._unfinished: deque[Job] = deque()
        """Jobs that are to be trained on further seeds."""

    def run(self, executor: Executor) -> None:
        """Trains until the stage is over, or the executor was stopped.

        Raises:
            Exception: a fault of the code, or SweepFailed. Trials that ran can be gone on with.
        """
        with Heart(self._beat, self._attempts.grace_seconds / 4):
            self._attempts.recover(self._live)
            try:
                while not self._is_over():
                    num_begun = self._num_begun
                    executor.run(self)
                    if executor.was_stopped:
                        break
                    if self._num_begun == num_begun:  # what is left is others'
                        time.sleep(_POLL_SECONDS)
            except DatabaseFailed:
                raise
            except BaseException as error:
                self._interrupt_live(f"{type(error).__name__}: {error}")
                raise
            self._interrupt_live("the sweep was stopped")
            self._keep_time()

    def _beat(self) -> None:
        self._attempts.beat(list(self._live))
        self._keep_time()

    def _is_over(self) -> bool:
        entries = self._entries()
        return all(entry.is_over for entry in entries) and not self._stage.wants_more(entries)

    def _interrupt_live(self, reason: str) -> None:
        """Lets those wait that the executor has not told of."""
        for trial_id in list(self._live):
            self._attempts.interrupt(trial_id, reason, is_innocent=True)
        self._live.clear()
        self._unfinished.clear()

    def _entries(self) -> list[Entry]:
        return entries_of(self._attempts.all())

    # ---- what the executor asks for

    def __iter__(self) -> Iterator[Trial]:
        """It may be asked again after it had none."""
        return self

    def __next__(self) -> Trial:
        """The next trial to be trained."""
        while True:
            job = self._unfinished.popleft() if self._unfinished else self._next_job()
            if job is None:
                raise StopIteration
            try:
                seeds = self._stage.seeds(job, self._entries)
            except UpdateFinishedTrialError:
                self._lose(job)
                continue
            if seeds:
                return self._trial(job, seeds)
            self._tell(job, "finished")  # its coordinator died before it could

    def _next_job(self) -> Job | None:
        """Begins a trial; None where there is none to begin now."""
        self._attempts.recover_now_and_then(self._live)
        for _ in range(_MOST_SURPLUS):
            trials = self._attempts.all()
            has_waited = any(trial.state is TrialState.WAITING for trial in trials)
            if not has_waited:
                entries = entries_of(trials)
                if not self._stage.wants_more(entries):
                    return None
                self._stage.enqueue(self._attempts.study, entries)
            with suppress(UpdateFinishedTrialError):  # taken for dead before it had begun
                job = self._begin(may_be_too_much=has_waited or not self._attempts.is_alone)
                if job is not None:
                    return job
        return None

    def _begin(self, may_be_too_much: bool) -> Job | None:
        """Begins an attempt; None where it was one too many."""
        trial, frozen = self._attempts.begin()
        if may_be_too_much and self._is_too_many(frozen):
            self._attempts.give_up(trial)
            return None
        known = frozen.user_attrs
        if "params" not in known:
            known["params"] = self._stage.propose(trial)
            trial.set_user_attr("params", known["params"])
        so_far = known.get("so_far", {})
        job = Job(
            trial,
            number=root_of(frozen),
            params=known["params"],
            is_repeated="root" in known,
            reports=Entry(0, "running", frozen).reports,
            scores=Job.by_seed(so_far.get("scores", {})),
            test_returns=Job.by_seed(so_far.get("test_returns", {})),
            env_steps=so_far.get("env_steps", -known.get("inherited", 0)),
            seconds=so_far.get("seconds", 0.0),
        )
        self._live[trial._trial_id] = job
        self._num_begun += 1
        self._progress.begun(job)
        return job

    def _is_too_many(self, trial: FrozenTrial) -> bool:
        """Whether several coordinators have asked at once, or the budget has become smaller."""
        attempts = self._attempts.all()
        is_doubled = is_repeated_twice(trial, attempts)
        return is_doubled or self._stage.is_one_too_many(trial, entries_of(attempts))

    def _trial(self, job: Job, seeds: tuple[int, ...]) -> Trial:
        config = self._stage.config(job, seeds)
        scores = None
        if self._stage.is_reported(job):
            warm_up = 2 * learning_starts(config)
            scores = OptunaReporter(job.trial, budget_of(config), warm_up, job.reports)
        return Trial(
            config,
            _JobReporter(self, job, scores),
            seeds,
            self._stage.goes_on(job),
            self._config_folder,
            job.params,
        )

    # ---- what it hears of a job

    def reported(self, job: Job, env_steps: int, score: float) -> None:
        """Takes note of a score on the grid."""
        self._progress.reported(job, env_steps, score)

    def ended(self, job: Job, outcome: TrialOutcome) -> None:
        """Takes note of how the latest seeds of a job went.

        Raises:
            SweepFailed: too many trials in a row have failed in the same way.
        """
        if job.is_lost:
            self._lose(job)
            return
        try:
            self._take(job, outcome)
        except UpdateFinishedTrialError:
            self._lose(job)

    def _take(self, job: Job, outcome: TrialOutcome) -> None:
        if outcome.status == "stopped":
            self._interrupt(job, outcome.reason)
            return
        job.take(outcome)
        status, reason = outcome.status, outcome.reason
        if status == "finished" and not self._is_measured(outcome):
            status = "failed"
            reason = f"its score must be a finite number, but is {outcome.score}"
        if status != "finished":
            self._tell(job, status, reason)
        elif self._stage.seeds(job, self._entries):
            job.trial.set_user_attr("so_far", job.so_far())
            self._unfinished.append(job)
        else:
            self._tell(job, "finished")
        self._failures.take(status, reason)

    @staticmethod
    def _is_measured(outcome: TrialOutcome) -> bool:
        return outcome.score is not None and math.isfinite(outcome.score)

    def _interrupt(self, job: Job, reason: str) -> None:
        is_innocent = not reason.startswith("its process")
        outcome = self._attempts.interrupt(job.trial._trial_id, reason, is_innocent)
        del self._live[job.trial._trial_id]
        if outcome is None:
            self._progress.interrupted(job, reason)
        else:
            self._progress.ended(job, outcome)
            self._failures.take("failed", reason)

    def _lose(self, job: Job) -> None:
        """Drops a job that another coordinator has taken over."""
        job.is_lost = True
        del self._live[job.trial._trial_id]
        self._progress.interrupted(job, "another coordinator has taken it over")

    def _tell(self, job: Job, status: str, reason: str = "") -> None:
        outcome = {"status": status, "reason": reason, **job.so_far()}
        if status == "finished":
            outcome["values"] = self._stage.values(job)
        try:
            self._attempts.tell(job.trial, outcome)
        except UpdateFinishedTrialError:
            self._lose(job)
            return
        del self._live[job.trial._trial_id]
        self._progress.ended(job, outcome)


class _JobReporter(Reporter):
    """Hands what one job's trial has to say to the study and the coordinator."""

    def __init__(self, coordinator: Coordinator, job: Job, scores: OptunaReporter | None) -> None:
        self._coordinator, self._job, self._scores = coordinator, job, scores

    def report(self, env_steps: int, score: float) -> None:
        if self._scores is not None and not self._job.is_lost:
            try:
                self._scores.report(env_steps, score)
            except UpdateFinishedTrialError:  # it was taken for dead, and is made again elsewhere
                self._job.is_lost = True
        self._coordinator.reported(self._job, env_steps, score)

    def should_stop(self) -> bool:
        is_pruned = self._scores is not None and self._scores.should_stop()
        return self._job.is_lost or is_pruned

    def finish(self, outcome: TrialOutcome) -> None:
        self._coordinator.ended(self._job, outcome)
