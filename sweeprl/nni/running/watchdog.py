"""Looks after an experiment: NNI itself says RUNNING for ever once its tuner is dead."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from filelock import FileLock, Timeout

from sweeprl.errors import ConfigError, SweepFailed
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.reading.listing import Experiment, find
from sweeprl.nni.reading.logs import (
    cannot_train,
    dispatcher_error,
    is_stopped_in_order,
    search_error,
)
from sweeprl.nni.reading.manager import STOPPING, Job
from sweeprl.nni.reading.tally import JobTally, is_maximized
from sweeprl.nni.running.experiments import revive
from sweeprl.nni.running.processes import end_orderly, find_processes
from sweeprl.nni.running.quiet import Quiet

__all__ = ["Outcome", "Watchdog", "watch"]

_SILENT_SECONDS = 30.0
"""How long a manager may give no answer; it gives none while its machine is overloaded."""

_IDLE_LOOKS = 3
"""NNI says that its tuner has no more trials while it begins the last of them."""


@dataclass(frozen=True)
class Outcome:
    """How an experiment ended."""

    status: Literal["done", "stopped", "failed"]
    """stopped: it can be resumed; failed: it could not go on, and none of its processes is left."""
    reason: str
    trials: str
    """A line on its trials."""


def watch(
    experiment_id: str,
    say: Callable[[str], None] = print,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    max_resumes: int = 2,
    stall_seconds: float = 300.0,
    quiet_seconds: float = 1800.0,
    keep_open: bool = False,
) -> Outcome:
    """Looks after a running experiment until it is done, and stops it then.

    A dead manager, a dead tuner or assessor, an error, or a stall: the experiment is resumed, and
    where that does not help, ended.

    Args:
        experiment_id: as `create` returned it.
        say: gets a line on each trial and on all that the watchdog does.
        should_stop: asked every second; where true, the experiment is stopped.
        max_resumes: how many times in a row without a trial that has ended in between.
        stall_seconds: how long no trial may run, and none end.
        quiet_seconds: after how long without a report, and without a trial that begins or ends,
            the watchdog says so, once: a trial that hangs is not told from one that is slow.
        keep_open: whether the web page stays, and with it NNI's processes, when it is done.

    Raises:
        ConfigError: there is no such experiment, or another watchdog looks after it.
    """
    experiment = find(experiment_id)
    with _alone(experiment):
        watchdog = Watchdog(
            experiment,
            say,
            max_resumes=max_resumes,
            stall_seconds=stall_seconds,
            quiet_seconds=quiet_seconds,
        )
        return watchdog.watch(should_stop, keep_open)


@contextmanager
def _alone(experiment: Experiment) -> Iterator[None]:
    lock = FileLock(experiment.folder / "watchdog.lock", timeout=0, mode=0o600)
    try:
        with lock:
            yield
    except Timeout:
        raise ConfigError(
            f"Experiment '{experiment.id}' must have one watchdog, but another one looks after it. "
            f"Stop both with: sweeprl nni stop {experiment.id}"
        ) from None


class Watchdog:
    """Looks after one experiment."""

    def __init__(
        self,
        experiment: Experiment,
        say: Callable[[str], None],
        *,
        max_resumes: int = 2,
        stall_seconds: float = 300.0,
        quiet_seconds: float = 1800.0,
        every_seconds: float = 1.0,
    ) -> None:
        self._experiment, self._say = experiment, say
        self._max_resumes, self._stall_seconds = max_resumes, stall_seconds
        self._every_seconds = every_seconds
        self._tally = JobTally()
        self._quiet = Quiet(quiet_seconds, self._last_report)
        self._num_resumes, self._ended_at_resume = 0, 0
        self._is_busy = False
        self._begin()

    def _begin(self) -> None:
        self._experiment = find(self._experiment.id)
        self._answered_at = self._moved_at = time.monotonic()
        self._idle_looks = 0

    def watch(self, should_stop: Callable[[], bool], keep_open: bool) -> Outcome:
        """Returns when the experiment has ended, one way or the other."""
        while not should_stop():
            outcome = self._look()
            if outcome is not None:
                return self._end(outcome, keep_open)
            time.sleep(self._every_seconds)
        return self._end(self._outcome("stopped", "as asked"), keep_open=False)

    def _end(self, outcome: Outcome, keep_open: bool) -> Outcome:
        if not (keep_open and outcome.status == "done"):
            end_orderly(self._experiment)
        return outcome

    def _outcome(self, status: Literal["done", "stopped", "failed"], reason: str) -> Outcome:
        return Outcome(status, reason, self._tally.summary())

    def _look(self) -> Outcome | None:
        try:
            trouble = self._ask()
        except OSError:
            trouble = self._unanswered()
        if isinstance(trouble, Outcome) or trouble is None:
            return trouble
        if is_stopped_in_order(self._experiment.folder, self._experiment.began_at):
            return self._outcome("stopped", "from elsewhere")
        return self._help(trouble)

    def _ask(self) -> Outcome | str | None:
        """Asks the manager how it goes; returns the end, or what is the trouble."""
        status, errors = self._experiment.manager.status()
        jobs = self._experiment.manager.jobs()
        self._answered_at = time.monotonic()
        self._count(jobs)
        if status in STOPPING:
            return self._ended()
        if status == "DONE":
            return self._outcome("done", self._why_done(len(jobs)))
        if self._has_no_more(status, jobs):
            raised = search_error(self._experiment.folder, self._experiment.began_at)
            if raised is not None:
                return self._outcome("failed", f"its tuner cannot go on: {raised}")
            return self._outcome("done", "the tuner has no more trials to propose")
        return self._trouble(status, errors)

    def _why_done(self, num_begun: int) -> str:
        most = self._experiment.manager.profile().get("params", {}).get("maxTrialNumber")
        if most is not None and num_begun < most:
            return f"its time is over; {num_begun} of {most} trials have begun"
        return "all trials have ended"

    def _ended(self) -> Outcome | str:
        if cannot_train(self._experiment.folder, self._experiment.began_at):
            return f"NNI cannot start trials: {self._reason()}"
        return self._outcome("stopped", "from elsewhere")

    def _count(self, jobs: list[Job]) -> None:
        if len(self._tally) == 0:
            self._tally.is_maximized = is_maximized(
                self._experiment.manager.profile().get("params", {})
            )
        lines = self._tally.add(jobs)
        for line in lines:
            self._say(line)
        self._is_busy = any(not job.is_over for job in jobs)
        if lines or self._is_busy:
            self._moved_at = time.monotonic()
        if (quiet := self._quiet.look(jobs)) is not None:
            self._say(quiet)

    def _last_report(self) -> float | None:
        with suppress(ConfigError):  # the database is busy; its trials may be, too
            return ExperimentDatabase(self._experiment.folder).last_report()
        return None

    def _has_no_more(self, status: str, jobs: list[Job]) -> bool:
        is_idle = status == "TUNER_NO_MORE_TRIAL" and not self._is_busy
        self._idle_looks = self._idle_looks + 1 if is_idle else 0
        return self._idle_looks >= _IDLE_LOOKS

    def _trouble(self, status: str, errors: list[str]) -> str | None:
        raised = dispatcher_error(self._experiment.folder, self._experiment.began_at)
        if raised is not None:
            return f"its tuner or assessor has raised {raised}"
        if status == "ERROR":
            return f"NNI has met an error: {'; '.join(errors) or self._reason()}"
        if not find_processes(self._experiment.id).dispatchers:
            return "the process of its tuner is gone, with no error in its log"
        idle = time.monotonic() - self._moved_at
        if idle > self._stall_seconds:
            return f"no trial has run or ended for {idle:.0f} s"
        return None

    def _unanswered(self) -> str | None:
        if not find_processes(self._experiment.id).managers:
            return f"NNI's manager is gone: {self._reason()}"
        if time.monotonic() - self._answered_at > _SILENT_SECONDS:
            return f"NNI's manager has not answered for {_SILENT_SECONDS:.0f} s"
        return None

    def _reason(self) -> str:
        return self._experiment.reason or "no reason is in its logs"

    def _help(self, trouble: str) -> Outcome | None:
        """Resumes, or gives up."""
        if find(self._experiment.id).began_at != self._experiment.began_at:
            self._begin()  # somebody else has resumed it
            return None
        if len(self._tally) > self._ended_at_resume:
            self._num_resumes = 0
        if self._num_resumes == self._max_resumes:
            times = f"{self._max_resumes} time{'s' if self._max_resumes != 1 else ''}"
            return self._outcome("failed", f"{trouble}; resumed {times}, no trial ended since")
        self._num_resumes += 1
        self._ended_at_resume = len(self._tally)
        self._say(f"Resumed ({self._num_resumes} of {self._max_resumes}), since {trouble}")
        return self._resume()

    def _resume(self) -> Outcome | None:
        try:
            if not revive(self._experiment):
                self._say("Somebody else has resumed it meanwhile")
        except (ConfigError, SweepFailed) as error:
            return self._outcome("failed", f"it cannot be resumed: {error}")
        self._begin()
        return None
