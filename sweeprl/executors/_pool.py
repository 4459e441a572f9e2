"""A worker process as its parent sees it, and the seeds that it is on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sweeprl.config import TrialConfig
from sweeprl.errors import SweepRLError
from sweeprl.executors._beginning import THREADS, one_thread, signals_blocked
from sweeprl.executors._worker import Job, Message, work
from sweeprl.launcher import TrialFolder, TrialRecord
from sweeprl.trials import Tally

__all__ = ["Assignment", "Ending", "Worker", "close_all", "ensure_template"]

_FAREWELL_SECONDS = 8.0
"""How long a worker that is closed may take before it is killed."""

_TEMPLATE_OF: set[int] = set()
"""The process, by its ID, whose fork server is ours."""


class Ending(NamedTuple):
    """How a seed ended that was not let finish."""

    status: Literal["stopped", "failed"]
    reason: str


@dataclass
class Assignment:
    """One seed of a trial, while a worker is on it."""

    tally: Tally
    config: TrialConfig
    begun_at: float | None = None
    """When its training began, in seconds of `time.monotonic`."""
    ending: Ending | None = None
    """Why it is to stop, where that is no matter of its neighbours."""

    def __post_init__(self) -> None:
        self._folder = TrialFolder(Path(self.config.root_dir))
        self._written_before = self._written_at()

    @property
    def surroundings(self) -> tuple[str, str]:
        """The folders whose modules its config may name."""
        return self.tally.trial.config_folder, os.getcwd()

    def job(self, number: int) -> Job:
        """What the worker needs to know."""
        trial = self.tally.trial
        return Job(
            number,
            self.config.to_dict(),
            trial.config_folder,
            trial.resume,
            dict(trial.params),
            os.getcwd(),
        )

    def ended(self, record: TrialRecord, ending: Ending | None) -> TrialRecord:
        """The record that a worker sent, with the true reason for its stop."""
        ending = self.ending or ending
        if ending is None or record.status != "stopped":
            return record
        if self._written_at() == self._written_before:  # what lies there is not this seed's
            return record.model_copy(update=ending._asdict())
        return self._save(record, ending)

    def broken_off(self, ending: Ending) -> TrialRecord:
        """Ends the record of a seed whose worker could not."""
        if self._written_at() == self._written_before:  # what lies there is not this seed's
            return TrialRecord.unbegun(self.config, *ending)
        record = self._folder.load_record()
        return record if record.status == "failed" else self._save(record, ending)

    def _written_at(self) -> int | None:
        """When the record was written, in nanoseconds; None where there is none."""
        path = self._folder.record
        return path.stat().st_mtime_ns if path.exists() else None

    def _save(self, record: TrialRecord, ending: Ending) -> TrialRecord:
        ended = record.model_copy(update=ending._asdict())
        if ended != record:
            self._folder.save_record(ended)
        return ended


@dataclass(eq=False)
class Worker:
    """One process, begun at once; it trains one seed after the other, or several as lanes.

    Args:
        num_lanes: seeds at a time.
        num_processes: how many share the machine's memory.

    Raises:
        SweepRLError: this process is itself a worker that has not got past its main script.
    """

    num_lanes: int = 1
    num_processes: int = 1
    is_ready: bool = False
    """Whether it has imported everything."""
    is_busy: bool = False
    """Whether it was given something, and has not said that it is idle."""
    seeds: dict[int, Assignment] = field(default_factory=dict)
    """What it trains, by number."""
    surroundings: tuple[str, str] = ("", "")
    """Of its run: the folders whose modules its configs may name."""
    ending: Ending | None = None
    """Why it was told to stop."""
    kill_at: float | None = None
    """When it is killed if it has not stopped by then."""
    pipe: Connection = field(init=False)

    def __post_init__(self) -> None:
        _refuse_in_main_script()
        resource_tracker.ensure_running()  # its start would let signals through again
        self.pipe, there = multiprocessing.Pipe()
        self._process = _begun(there, self.num_lanes, self.num_processes)
        self._num_jobs = 0
        there.close()

    @property
    def sentinel(self) -> int:
        """Becomes readable when the process has ended."""
        sentinel: int = self._process.sentinel
        return sentinel

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return bool(self._process.is_alive())

    def begin(self, assignment: Assignment | None) -> None:
        """Starts a seed; None tells a worker that has asked for one that there is none."""
        if assignment is None:
            self.send(None)
            return
        self._num_jobs += 1
        self.surroundings = assignment.surroundings
        self.send(assignment.job(self._num_jobs))
        self.seeds[self._num_jobs], self.is_busy = assignment, True

    def rest(self) -> None:
        """Has no more to do for now."""
        self.is_busy, self.ending, self.kill_at = False, None, None

    def send(self, content: Job | bool | None) -> None:
        """Sends a job, an answer, or that nothing more will come."""
        with suppress(ConnectionError):  # a worker that is gone is found out when it is heard
            self.pipe.send(content)

    def hear(self) -> Message | None:
        """What it has to say; None where it is gone."""
        try:
            message: Message | None = self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):  # it ended, maybe in the middle of a word
            return None
        return message

    def stop(self, number: int, ending: Ending, grace: float) -> None:
        """Lets it stop between two chunks.

        Args:
            number: of the signal.
            ending: what is to be noted, unless it was to stop before.
            grace: seconds until it is killed.
        """
        kill_at = time.monotonic() + grace
        self.kill_at = min(kill_at, self.kill_at or kill_at)
        if self.ending is None:
            self.ending = ending
            self._signal(number)

    def kill(self) -> None:
        """Ends it at once, and the processes of its environments."""
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(self._process.pid, number)

    def bury(self, seconds: float = _FAREWELL_SECONDS) -> int:
        """Waits for its end; returns its exit code, negative for a signal."""
        self._process.join(max(0.0, seconds))
        self.kill()
        self._process.join()
        self.pipe.close()
        return int(self._process.exitcode)

    def dismiss(self) -> None:
        """Lets it end."""
        self.send(None)
        if self.is_busy:
            self._signal(signal.SIGTERM)


def close_all(workers: list[Worker]) -> None:
    """Ends all workers, those that are on a seed too, and forgets them."""
    for worker in workers:
        worker.dismiss()
    deadline = time.monotonic() + _FAREWELL_SECONDS
    while workers:
        workers.pop().bury(deadline - time.monotonic())


def _refuse_in_main_script() -> None:
    # What multiprocessing itself asks for the same purpose.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SweepRLError(
            "A worker imports the main script anew, so that ProcessExecutor.run must stand under "
            'if __name__ == "__main__": in it, but it does not.'
        )


def _begun(pipe: Connection, *numbers: int) -> Any:
    """Begins a worker process at the other end of a pipe."""
    environ = {**os.environ, **dict.fromkeys(THREADS, "1")}
    settings: Any = {"target": work, "args": (pipe, environ, *numbers), "name": "sweeprl-worker"}
    if ensure_template():
        with suppress(EOFError, OSError):  # it could not be begun, or is gone
            forked = multiprocessing.get_context("forkserver").Process(**settings)
            forked.start()
            return forked
    process = multiprocessing.get_context("spawn").Process(**settings)
    with one_thread(), signals_blocked():
        process.start()
    return process


def ensure_template() -> bool:
    """Begins the process that workers are forked from, which only imports what they need.

    All of them together cost the time and the memory of one import then.

    Returns:
        Whether there is one; else each worker imports for itself: not on Linux, in a process that
        was forked after it had begun workers, and where the fork server of `multiprocessing`, of
        which a process has but one, serves somebody else.
    """
    if sys.platform != "linux":
        return False
    server: Any = forkserver._forkserver
    if not _TEMPLATE_OF and server._forkserver_pid is None:
        _TEMPLATE_OF.add(os.getpid())
    if os.getpid() not in _TEMPLATE_OF:
        return False
    with suppress(OSError), signals_blocked():
        forkserver.set_forkserver_preload(["sweeprl.executors._template"])
        forkserver.ensure_running()
        return True
    return False
