"""The resident worker of an NNI experiment: its trials are lanes of one engine.

A trial's process hands over what NNI has told it and waits, see `sweeprl.cli.handover`. What cannot
be a lane beside the trials that are trained already goes back to its process, to be trained alone.
"""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakSet

from sweeprl.config import TrialConfig, merge
from sweeprl.errors import ConfigError
from sweeprl.executors import LanesExecutor
from sweeprl.executors.capacity import num_cores
from sweeprl.executors.feed import cohort_of_trial
from sweeprl.nni.warm.visitor import Visitor, VisitorReporter
from sweeprl.registry import importable
from sweeprl.trials.nni import NNIBackend
from sweeprl.trials.nni_channel import ManagerChannel
from sweeprl.trials.trial import Trial

__all__ = ["Resident"]

_IDLE_SECONDS = 60.0
"""After which a worker without trials ends; the next trial starts another one."""

_LAST_WORDS_SECONDS = 3.0
"""How long the trials' processes may take to hear how their trials ended."""


class Resident:
    """Trains the trials of one experiment as they come.

    Args:
        listener: where their processes ask.
        base: reads the config that a proposal is put into, from what a process asks for.
        idle_seconds: after which it ends without trials.
    """

    def __init__(
        self,
        listener: socket.socket,
        base: Callable[[dict[str, Any]], TrialConfig],
        idle_seconds: float = _IDLE_SECONDS,
    ) -> None:
        self._listener, self._base = listener, base
        self._inbox = _Inbox(idle_seconds)
        self._executor: LanesExecutor | None = None
        self._making = threading.Lock()
        self._log = logging.getLogger(__name__)

    def serve(self) -> None:
        """Returns when no trial has come for a while, or a signal asks for the end."""
        path = Path(self._listener.getsockname())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._close)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            while self._inbox.wait():
                self._train()
        finally:
            path.unlink(missing_ok=True)
            self._inbox.close("the worker has ended")
            self._inbox.join(_LAST_WORDS_SECONDS)

    def _close(self, number: int, frame: FrameType | None) -> None:
        self._inbox.is_closing = True

    def _train(self) -> None:
        """Trains until nothing is left; a fault ends what runs, and nothing else."""
        assert self._executor is not None
        try:
            self._executor.run(self._inbox)
        except ConfigError as error:
            self._log.error("%s", error)
        except Exception:
            self._log.exception("What was trained goes on in processes of its own, since:")
        if self._executor.was_stopped:
            self._inbox.is_closing = True
        self._inbox.give_back_lost("its worker has lost it")

    def _listen(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._receive, args=[Visitor(connection)], daemon=True).start()

    def _receive(self, visitor: Visitor) -> None:
        try:
            self._take(visitor)
        except ConfigError as error:
            visitor.say(f"Error: {error}")
            visitor.end(2)
        except Exception as error:
            self._log.exception("A trial goes on in a process of its own, since:")
            visitor.send_alone(f"{type(error).__name__}: {error}")

    def _take(self, visitor: Visitor) -> None:
        request = visitor.request()
        config = Path(request["config"])
        backend = NNIBackend(request["environ"])
        with importable([config.parent]):
            base = self._base(request)
            proposal = backend.proposal(base, config.parent)
            own = base.model_copy(update={"root_dir": str(backend.root_dir)})
            merged = merge(own, proposal.params)
        if proposal.start_from or proposal.save_to:
            visitor.send_alone("a lane does not begin with the agent of another trial")
            return
        reporter = VisitorReporter(backend.reporter(), visitor, lambda: self._inbox.note_end(trial))
        trial = Trial(
            merged,
            reporter,
            resume=True,
            config_folder=str(config.parent),
            params=proposal.params,
            is_cancelled=lambda: visitor.is_gone or self._inbox.is_closing,
        )
        self._make_executor(backend)
        reason = self._inbox.offer(trial, reporter)
        if reason:
            reporter.send_alone(reason)
        else:
            visitor.wait()

    def _make_executor(self, backend: NNIBackend) -> None:
        with self._making:  # several trials come at once
            if self._executor is None:
                assert isinstance(backend.channel, ManagerChannel)
                self._executor = LanesExecutor(
                    backend.channel.concurrency(),
                    num_threads=max(1, num_cores() - 1),  # one core for NNI and trials' processes
                    say=self._log.info,
                    stays_open=lambda: not self._inbox.is_over,
                    otherwise=self._inbox.send_alone,
                )


class _Inbox:
    """Trials that wait for a lane; an iterator that has none now, and may have one later.

    Args:
        idle_seconds: after which nobody is expected any more.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Condition()
        self._waiting: deque[Trial] = deque()
        self._reporters: WeakSet[VisitorReporter] = WeakSet()
        """Of the trials that were taken."""
        self._taken: list[Trial] = []
        """Those that wait or are trained."""
        self._cohort = ""
        self._refused: dict[str, str] = {}
        """Cohorts that cannot be lanes, and why."""
        self._idle_since = time.monotonic()
        self.is_closing = False

    def offer(self, trial: Trial, reporter: VisitorReporter) -> str:
        """Takes a trial; returns why not, where it cannot be trained beside the others."""
        cohort = cohort_of_trial(trial)
        with self._lock:
            if cohort in self._refused:
                return self._refused[cohort]
            if self._taken and cohort != self._cohort:
                return "the trials that are trained now differ from it in more than numbers"
            if self.is_closing:
                return "the worker is about to end"
            self._cohort = cohort
            self._taken.append(trial)
            self._reporters.add(reporter)
            self._waiting.append(trial)
            self._lock.notify_all()
            return ""

    def __iter__(self) -> Iterator[Trial]:
        return self

    def __next__(self) -> Trial:
        with self._lock:
            if not self._waiting:
                raise StopIteration
            return self._waiting.popleft()

    def note_end(self, trial: Trial) -> None:
        """Notes that a trial is trained no more."""
        with self._lock:
            self._taken = [one for one in self._taken if one is not trial]
            self._idle_since = time.monotonic()

    def give_back_lost(self, reason: str) -> None:
        """Gives back trials that neither wait nor are trained, while nothing is trained."""
        with self._lock:
            waiting = {id(trial) for trial in self._waiting}
            lost = [trial for trial in self._taken if id(trial) not in waiting]
        for trial in lost:
            self._give_back(trial, reason)

    def send_alone(self, trials: Iterable[Trial], reason: str) -> None:
        """Gives trials back to their processes, and all of their kind from now on."""
        for trial in trials:
            with self._lock:
                self._refused[cohort_of_trial(trial)] = reason
            self._give_back(trial, reason)

    def _give_back(self, trial: Trial, reason: str) -> None:
        assert isinstance(trial.reporter, VisitorReporter)
        self.note_end(trial)
        trial.reporter.send_alone(reason)

    @property
    def is_over(self) -> bool:
        """Whether nobody has come for so long, or the end was asked for."""
        with self._lock:
            idle = 0.0 if self._taken else time.monotonic() - self._idle_since
            return self.is_closing or idle > self._idle_seconds

    def wait(self) -> bool:
        """Returns true as soon as a trial waits, and false when nobody is expected any more."""
        while not self.is_over:
            with self._lock:
                if self._waiting or self._lock.wait(0.2):  # a signal has to be looked at
                    return True
        return False

    def close(self, reason: str) -> None:
        """Gives back what waits."""
        self.is_closing = True
        with self._lock:
            waiting, self._waiting = list(self._waiting), deque()
        for trial in waiting:
            self._give_back(trial, reason)

    def join(self, seconds: float) -> None:
        """Waits until all is said."""
        give_up_at = time.monotonic() + seconds
        for reporter in list(self._reporters):
            reporter.join(max(0.0, give_up_at - time.monotonic()))
