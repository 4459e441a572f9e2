"""What runs in a worker process: seeds of trials, one after the other or as lanes."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError, SweepRLError
from sweeprl.executors._beginning import SIGNALS, allow_signals
from sweeprl.executors._isolation import as_before
from sweeprl.executors.in_process import InProcessExecutor
from sweeprl.executors.lanes import LanesExecutor
from sweeprl.launcher import StopOnSignal, TrialRecord
from sweeprl.lightning import Callback, pl
from sweeprl.registry import importable
from sweeprl.trials import Reporter, Trial, TrialOutcome

__all__ = [
    "Asking",
    "Begun",
    "Ended",
    "Idle",
    "Job",
    "Message",
    "Raised",
    "Ready",
    "Reported",
    "Said",
    "work",
]

_LOCK_SECONDS = 30.0
"""How long a worker waits for another one to let go of a trial's folder."""

_LOCK_SECONDS_OF_LANES = 3.0
"""The same where other lanes wait meanwhile, and have to be saved should a signal come."""


@dataclass(frozen=True)
class Job:
    """All that a worker needs to know of one seed."""

    number: int
    """Names it in what is said of it."""
    config: dict[str, Any]
    """With the seed and its folder."""
    config_folder: str = ""
    resume: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    working_folder: str = ""
    """Of the parent, which may have moved since the worker began."""

    def folders(self) -> list[Path]:
        """Whose modules the config may name, the foremost first."""
        config_folder = [Path(self.config_folder).resolve()] if self.config_folder else []
        return [*config_folder, Path(self.working_folder).resolve()]


# ---- what a worker says


@dataclass(frozen=True)
class Ready:
    """All is imported."""


@dataclass(frozen=True)
class Begun:
    """The trial's folder is its own; now it trains."""

    number: int


@dataclass(frozen=True)
class Reported:
    """A score on the grid; the answer is whether to stop."""

    number: int
    env_steps: int
    score: float


@dataclass(frozen=True)
class Ended:
    """A seed is over, and how it went."""

    number: int
    record: TrialRecord


@dataclass(frozen=True)
class Asking:
    """There is room for one more seed; the answer is a job, or None."""


@dataclass(frozen=True)
class Idle:
    """Nothing is trained any longer; the next job is waited for."""

    was_stopped: bool
    """Whether a signal was the end of what was trained."""


@dataclass(frozen=True)
class Said:
    """A line meant for the user."""

    line: str


class _Traceback(Exception):
    """Where in a worker an error was raised."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


@dataclass(frozen=True)
class Raised:
    """Something that is no failure of the trial's own; where it was raised is its cause."""

    pickled: bytes
    """Empty where that is not possible."""
    text: str
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Raised:
        """Packs an error."""
        try:
            pickled = pickle.dumps(error)
        except Exception:  # whatever an error's own class may raise
            pickled = b""
        trace = "".join(traceback.format_exception(error))
        return cls(pickled, f"{type(error).__name__}: {error}", trace)

    def error(self) -> Exception:
        """Unpacks it; where its class cannot be had here, its text remains."""
        error: Any
        try:
            error = pickle.loads(self.pickled)
        except Exception:  # whatever an error's own class may raise
            error = None
        found = error if isinstance(error, Exception) else SweepRLError(self.text)
        found.__cause__ = _Traceback(self.trace)
        return found


Message = Ready | Begun | Reported | Ended | Asking | Idle | Said | Raised


# ---- what a worker does


def work(
    parent: Connection, environ: Mapping[str, str], num_lanes: int, num_processes: int
) -> None:
    """Trains whatever the parent sends, until it sends nothing more, or a signal came too late.

    Args:
        parent: the pipe to it.
        environ: environment variables as they are now; those of this process may be older.
        num_lanes: seeds at a time.
        num_processes: how many share the machine's memory.
    """
    os.environ.clear()
    os.environ.update(environ)
    if hasattr(os, "setsid"):
        os.setsid()  # a terminal's Ctrl-C is for the parent, which hands it on
    signals = _Signals()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()  # what was imported needs no looking at after every seed
    parent.send(Ready())
    while (job := _received(parent)) is not None:
        with signals.heeded():
            was_stopped = _run(_Jobs(job, parent, num_lanes), signals, num_processes)
            parent.send(Idle(was_stopped))
        if signals.received is not None and not was_stopped:
            return  # the parent does not know whether the signal has come yet
        signals.received = None
        gc.collect()  # a trainer and its module hold each other, and the replay buffer


def _received(parent: Connection) -> Job | None:
    try:
        job: Job | None = parent.recv()
    except (EOFError, ConnectionError):
        return None
    return job


def _end_with_parent() -> None:
    """Ends this process and those of its environments as soon as the parent is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    if hasattr(os, "killpg"):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


def _run(jobs: _Jobs, signals: _Signals, num_processes: int) -> bool:
    """Trains a job, and as lanes what is asked for beside it; whether a signal was the end."""
    os.chdir(jobs.first.working_folder)
    folders = jobs.first.folders()
    with as_before(folders), importable(folders), jobs:
        alone = InProcessExecutor([StopOnSignal(heeds_second=False), signals])
        try:
            if jobs.num_lanes == 1:
                alone.run(jobs)
                return alone.was_stopped
            lanes = LanesExecutor(
                jobs.num_lanes, gpus=None, num_threads=1, pl_callbacks=[signals], say=jobs.say,
                num_processes=num_processes,
                otherwise=lambda trials, reason: _train_alone(alone, trials, reason, jobs.say),
            )  # fmt: skip
            lanes.run(jobs)
            return lanes.was_stopped or alone.was_stopped
        except Exception as error:  # packed here, where the modules of its class are known
            jobs.send(Raised.of(error))
            return False


def _train_alone(
    alone: InProcessExecutor, trials: Iterable[Trial], reason: str, say: Callable[[str], None]
) -> None:
    say(f"Trained one by one, not as lanes: {reason}.")
    alone.run(trials)


class _Jobs:
    """The jobs of one run, as trials whose reporters are at the other end of the pipe.

    Args:
        first: what it begins with.
        parent: asked for more, where several are trained at a time.
        num_lanes: how many.
    """

    def __init__(self, first: Job, parent: Connection, num_lanes: int) -> None:
        self.first, self.num_lanes, self._parent = first, num_lanes, parent
        self._next: Job | None = first
        self._locks: dict[int, ExitStack] = {}
        self._roots: dict[int, Path] = {}

    def __enter__(self) -> _Jobs:
        return self

    def __exit__(self, *error: object) -> None:
        for lock in self._locks.values():
            lock.close()

    def __iter__(self) -> _Jobs:
        return self

    def __next__(self) -> Trial:
        job, self._next = self._next, None
        if job is None and self.num_lanes > 1:
            job = self.ask(Asking())
        if job is None:
            raise StopIteration
        config = TrialConfig.of(job.config)
        root = Path(config.root_dir)
        seconds = _LOCK_SECONDS if self.num_lanes == 1 else _LOCK_SECONDS_OF_LANES
        if root in self._roots.values():
            raise ConfigError(
                f"Trials that are trained at once must have folders of their own, but two have "
                f"'{root}'. Choose another root_dir for one of them."
            )
        self._locks[job.number] = lock = ExitStack()
        lock.enter_context(_locked(root, seconds))
        self._roots[job.number] = root
        self.send(Begun(job.number))
        reporter = _Messages(self, job.number)
        return Trial(config, reporter, (), job.resume, job.config_folder, job.params)

    def release(self, number: int) -> None:
        """Lets go of a job's folder."""
        self._locks.pop(number).close()
        del self._roots[number]

    def say(self, line: str) -> None:
        """Has a line shown to the user."""
        self.send(Said(line))

    def send(self, message: Message) -> None:
        """Says something; where the parent is gone, this process is about to end too."""
        with suppress(ConnectionError):
            self._parent.send(message)

    def ask(self, message: Message) -> Any:
        """Says something, and returns the answer; None where the parent is gone."""
        try:
            self._parent.send(message)
            return self._parent.recv()
        except (EOFError, ConnectionError):  # what was learned is kept
            signal.raise_signal(signal.SIGTERM)
            return None


@contextmanager
def _locked(root: Path, seconds: float) -> Iterator[None]:
    """Keeps a trial's folder to this process; the system lets go of it when the process ends.

    Args:
        root: the folder.
        seconds: how long to wait for it.

    Raises:
        ConfigError: another process has it.
    """
    with suppress(OSError):  # the launcher says what is wrong with the folder
        root.mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / ".lock")
    try:
        lock.acquire(timeout=seconds)
    except Timeout:
        raise ConfigError(
            f"A trial must be trained by one process at a time, but another one has trained in "
            f"'{root}' for {seconds:g} seconds. Wait for its end, end it, or choose another "
            "root_dir."
        ) from None
    except (OSError, NotImplementedError):  # a file system without locks
        pass
    try:
        yield
    finally:
        lock.release()


class _Messages(Reporter):
    """The reporter of a trial at the other end of a pipe."""

    def __init__(self, jobs: _Jobs, number: int) -> None:
        self._jobs, self._number = jobs, number
        self._is_to_stop = False

    def report(self, env_steps: int, score: float) -> None:
        self._is_to_stop = bool(self._jobs.ask(Reported(self._number, env_steps, score)))

    def should_stop(self) -> bool:
        return self._is_to_stop

    def finish(self, outcome: TrialOutcome) -> None:
        self._jobs.release(self._number)
        (record,) = outcome.records
        self._jobs.send(Ended(self._number, record))


class _Signals(Callback):
    """Sees to it that the first signal stops the trial, whenever it comes, and no other counts.

    `StopOnSignal` heeds signals from the beginning of training to the end of the test; what comes
    before that is handed on to it then. A batch system may signal the workers as well as the
    parent, which hands its own on.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._is_busy, self._pid = False, os.getpid()
        self._then: Callable[[int, FrameType | None], Any] | None = None
        for number in SIGNALS:
            signal.signal(number, self)
        allow_signals()  # the parent starts workers that are deaf until here

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Python's call of a signal handler."""
        if os.getpid() != self._pid:  # a process that an environment has forked
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif not self._is_busy:
            os._exit(128 + number)
        elif self.received is None:
            self.received = number
            self._hand_on()

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Where a signal is the end of a trial; elsewhere, it is that of the worker."""
        self._is_busy = True
        try:
            yield
        finally:
            self._then, self._is_busy = None, False
            allow_signals()

    def _hand_on(self) -> None:
        if self._then is not None and self.received is not None:
            self._then(self.received, None)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Lets signals wait while Lightning's own handlers are in place: they would raise."""
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stands before `StopOnSignal`, which has just taken over."""
        self._stand_before()

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stands before `StopOnSignal`, which has just taken over."""
        self._stand_before()

    def _stand_before(self) -> None:
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not self and callable(handler):
            self._then = handler
            for number in SIGNALS:
                signal.signal(number, self)
            self._hand_on()
        allow_signals()
