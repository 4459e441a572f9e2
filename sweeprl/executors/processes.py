"""Trials in a pool of processes, each of which trains one at a time, or several as lanes."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from pathlib import Path
from types import FrameType, TracebackType

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError, SweepRLError
from sweeprl.executors._beginning import SIGNALS
from sweeprl.executors._pool import Assignment, Ending, Worker, close_all
from sweeprl.executors._worker import (
    Asking,
    Begun,
    Ended,
    Idle,
    Raised,
    Ready,
    Reported,
    Said,
)
from sweeprl.executors.capacity import num_cores
from sweeprl.launcher import TrialFolder, TrialRecord
from sweeprl.trials import Tally, Trial

__all__ = ["ProcessExecutor"]

_GRACE = 8.0
"""Seconds from a signal until those that have not stopped are killed; clusters wait for 10."""

_GRACE_AT_LIMIT = 5.0
"""The same for a seed that took too long, in seconds."""

_TICK = 1.0
"""Seconds after which limits are looked at, and processes that cannot be heard to have ended."""

_BYSTANDER = Ending("stopped", "another trial's error ended the run")


class ProcessExecutor:
    """Trains the seeds of trials in processes, each of them one at a time, or several as lanes.

    The processes are started as they are needed, and train one seed after the other, also those of
    later runs. They end with `close`, the context of a `with` statement, or the executor itself.
    On Linux they are forked from a process that has imported all they need, which ends with this
    one; if it is killed, the trials that run end as stopped.

    A signal stops all trials between two chunks, with checkpoints to go on from, and a second one
    ends them at once. Where a process is killed, its trial ends as stopped, and the others go on.

    Args:
        num_workers: processes at a time; by default as many as there are cores.
        seconds_per_trial: wall-clock limit of each seed, which fails if it takes longer.
        say: takes lines meant for the user.
        num_lanes: seeds at a time in each process, all on the CPU; with more than one they are
            lanes of an engine (see `LanesExecutor`), and none has a limit of its own.

    Raises:
        ConfigError: a number is not positive, or lanes are to have limits.
    """

    def __init__(
        self,
        num_workers: int | None = None,
        seconds_per_trial: float | None = None,
        say: Callable[[str], None] | None = None,
        num_lanes: int = 1,
    ) -> None:
        if num_workers is not None and num_workers < 1:
            raise ConfigError(f"num_workers must be at least 1, but got {num_workers}.")
        if seconds_per_trial is not None and not seconds_per_trial > 0:
            raise ConfigError(f"seconds_per_trial must be positive, but got {seconds_per_trial}.")
        if num_lanes < 1:
            raise ConfigError(f"num_lanes must be at least 1, but got {num_lanes}.")
        if num_lanes > 1 and seconds_per_trial is not None:
            raise ConfigError(
                "Only a process that trains one seed at a time can be ended when its time is over, "
                f"but got seconds_per_trial={seconds_per_trial:g} and num_lanes={num_lanes}. Leave "
                "one of them out."
            )
        self.num_lanes = num_lanes
        """Seeds at a time in each process."""
        self._num_workers = num_workers or num_cores()
        self._seconds_per_trial = seconds_per_trial
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201
        self.received: int | None = None
        """The signal that ended the last run, if one did."""
        self._error: BaseException | None = None
        self._has_ended = False
        """Whether a seed has ended since workers were last waited for."""
        self._mute: set[Tally] = set()
        """Those whose reporters have raised, and hear nothing more."""
        self._workers: list[Worker] = []
        # Before multiprocessing's own, which waits for all processes at the interpreter's end.
        Finalize(self, close_all, (self._workers,), exitpriority=100)

    @property
    def was_stopped(self) -> bool:
        """Whether a signal ended the last run."""
        return self.received is not None

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all processes; a later run starts others."""
        close_all(self._workers)

    def run(self, trials: Iterable[Trial]) -> None:
        """Trains all trials; each one's reporter hears how it went, in the caller's thread.

        Args:
            trials: asked for the next one when a process is free. An iterator that has none is
                asked again after every seed that ends.

        Raises:
            Exception: what a reporter raised, or a trial where it was not its own failure, a
                ConfigError for example. The other trials that ran are stopped; they can go on from
                their checkpoints.
        """
        self.received, self._error = None, None
        self._mute.clear()
        seeds = _Seeds(trials)
        with self._signals_handled():
            try:
                self._begin_some(seeds)
                while self._busy():
                    if self._attend_some(seeds):
                        self._begin_some(seeds)
                self._finish_unbegun(seeds)
            except BaseException:  # a bug of ours: reporters' and trials' errors are caught below
                self.close()
                raise
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback holds this frame, which would keep the processes alive

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.is_busy]

    @property
    def _is_ending(self) -> bool:
        return self.was_stopped or self._error is not None

    # ---- beginning

    def _begin_some(self, seeds: _Seeds) -> None:
        """Gives out seeds until all workers are busy or there is none."""
        while len(self._busy()) < self._num_workers:
            seed = self._next(seeds)
            if seed is None:
                return
            self._begin(seed)

    def _next(self, seeds: _Seeds) -> Assignment | None:
        """The next seed that is to be trained; None where there is none now."""
        while not self._is_ending:
            try:
                seed = next(seeds, None)
                if seed is None:
                    return None
                tally, config = seed
                if not tally.should_stop:
                    return Assignment(tally, config)
                self._tell(tally, _passed_over(tally, config))
            except BaseException as error:
                self._break_off(error)
        return None

    def _begin(self, seed: Assignment, asking: Worker | None = None) -> None:
        """Has a seed trained by a worker that is free, or has asked for one."""
        try:
            seed.tally.has_begun = True
            worker = asking or self._free_worker()
            worker.begin(seed)
        except BaseException as error:
            if asking is not None:
                asking.begin(None)
            self._tell(seed.tally, TrialRecord.unbegun(seed.config, "stopped", _text(error)))
            self._break_off(error)
        else:
            if self.received is not None:  # while it was begun, too late for the handler
                self._stop(worker, self.received)

    def _free_worker(self) -> Worker:
        for worker in [worker for worker in self._workers if not worker.is_busy]:
            if worker.is_alive:
                return worker
            self._workers.remove(worker)
            worker.bury()
        self._workers.append(Worker(self.num_lanes, self._num_workers))
        return self._workers[-1]

    def _finish_unbegun(self, seeds: _Seeds) -> None:
        """Tells of the seeds that were asked for and will not be trained."""
        ending = Ending("stopped", f"signal {self.received}") if self.was_stopped else _BYSTANDER
        while seeds.waiting:
            tally, config = seeds.waiting.popleft()
            self._tell(tally, TrialRecord.unbegun(config, *ending))

    # ---- attending

    def _attend_some(self, seeds: _Seeds) -> bool:
        """Waits for what workers have to say; whether a seed has ended."""
        busy, self._has_ended = self._busy(), False
        ready = wait([w.pipe for w in busy] + [w.sentinel for w in busy], self._patience())
        for worker in busy:
            if worker.pipe in ready or not worker.is_alive:
                try:
                    self._attend(worker, seeds)
                except BaseException as error:
                    self._break_off(error)
        self._look_at_limits()
        return self._has_ended or not all(worker.is_busy for worker in busy)

    def _attend(self, worker: Worker, seeds: _Seeds) -> None:
        match worker.hear():
            case Ready():
                worker.is_ready = True
            case Begun(number):
                worker.seeds[number].begun_at = time.monotonic()
            case Reported(number, env_steps, score):
                worker.send(self._report(worker.seeds[number], env_steps, score))
            case Ended(number, record):
                seed = worker.seeds.pop(number)
                if worker.kill_at is not None:  # it saves one after the other
                    worker.kill_at = max(worker.kill_at, time.monotonic() + _TICK)
                self._has_ended = True
                self._tell(seed.tally, seed.ended(record, worker.ending))
            case Asking():
                self._offer(worker, seeds)
            case Said(line):
                self._say(line)
            case Raised() as raised:
                self._break_off(raised.error())
                self._abandon(worker, Ending("failed", raised.text))
            case Idle(was_stopped):
                self._release(worker, was_stopped)
            case None:
                self._bury(worker)

    def _offer(self, worker: Worker, seeds: _Seeds) -> None:
        """Answers a worker that has room for one more."""
        seed = self._next(seeds)
        if seed is None:
            worker.begin(None)
        elif seed.surroundings != worker.surroundings:  # modules of one name may be others there
            seeds.waiting.appendleft((seed.tally, seed.config))
            worker.begin(None)
        else:
            self._begin(seed, asking=worker)

    def _abandon(self, worker: Worker, ending: Ending) -> None:
        """Tells how the seeds of a worker ended that it does not tell of itself."""
        while worker.seeds:
            _, seed = worker.seeds.popitem()
            self._has_ended = True
            self._tell(seed.tally, seed.broken_off(seed.ending or ending))

    def _release(self, worker: Worker, was_stopped: bool) -> None:
        """Has a worker back, unless a signal is on its way to it, or it took too long."""
        worker.is_busy = False  # from here on no signal is sent to it
        ending = worker.ending
        worker.rest()
        if ending is not None and (ending.status == "failed" or not was_stopped):
            self._workers.remove(worker)
            worker.dismiss()
            worker.bury()

    def _bury(self, worker: Worker) -> None:
        """Notes how seeds ended whose worker is gone without a word."""
        self._workers.remove(worker)
        worker.is_busy = False
        exit_code = worker.bury()
        reason = f"its process ended with exit code {exit_code}"
        if exit_code < 0:
            reason = f"its process was killed by signal {-exit_code}"
        if worker.ending is None:
            for seed in worker.seeds.values():
                self._say(f"Stopped: the trial in '{seed.config.root_dir}': {reason}.")
            if exit_code > 0 and not worker.is_ready:
                self._break_off(_not_begun(exit_code))
        self._abandon(worker, worker.ending or Ending("stopped", reason))

    # ---- reporting

    def _report(self, seed: Assignment, env_steps: int, score: float) -> bool:
        """Hands a score on; whether the seed is to stop."""
        if seed.tally not in self._mute:
            try:
                seed.tally.report(env_steps, score)
            except BaseException as error:
                self._mute.add(seed.tally)
                if self._error is None:
                    seed.ending = Ending("stopped", _text(error))
                self._break_off(error)
        return seed.tally.should_stop

    def _tell(self, tally: Tally, record: TrialRecord) -> None:
        """Tells how a seed ended."""
        if tally not in self._mute:
            try:
                tally.finish(record)
            except BaseException as error:
                self._mute.add(tally)
                self._break_off(error)

    # ---- ending

    def _break_off(self, error: BaseException) -> None:
        """Stops all trials; the first error is raised when they have ended."""
        self._error = self._error or error
        for worker in self._busy():
            worker.stop(signal.SIGTERM, _BYSTANDER, _GRACE)

    def _patience(self) -> float:
        """Seconds until the next limit is to be looked at."""
        marks = [mark for worker in self._busy() for mark in self._marks(worker)]
        return max(0.0, min([_TICK, *(mark - time.monotonic() for mark in marks)]))

    def _marks(self, worker: Worker) -> Iterator[float]:
        """When a worker is to be looked at."""
        if worker.kill_at is not None:
            yield worker.kill_at
        elif self._seconds_per_trial is not None:
            begun = (seed.begun_at for seed in worker.seeds.values())
            yield from (at + self._seconds_per_trial for at in begun if at is not None)

    def _look_at_limits(self) -> None:
        for worker in self._busy():
            if min(self._marks(worker), default=float("inf")) > time.monotonic():
                continue
            if worker.kill_at is not None:
                worker.kill()
                worker.kill_at += _TICK
            else:
                (seed,) = worker.seeds.values()
                reason = f"it took longer than seconds_per_trial={self._seconds_per_trial:g}"
                self._say(f"Failed: the trial in '{seed.config.root_dir}': {reason}.")
                worker.stop(signal.SIGTERM, Ending("failed", reason), _GRACE_AT_LIMIT)

    # ---- signals

    @contextmanager
    def _signals_handled(self) -> Iterator[None]:
        """Hands signals on to the processes; only a process's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                # None: somebody outside Python had set it.
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        is_second, self.received = self.was_stopped, number
        for worker in self._busy():
            if is_second:
                worker.kill()
            else:
                self._stop(worker, number)

    def _stop(self, worker: Worker, number: int) -> None:
        worker.stop(number, Ending("stopped", f"signal {number}"), _GRACE)


class _Seeds:
    """The seeds of trials, one after the other; asks for a trial when it has none left."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._trials = iter(trials)
        self.waiting: deque[tuple[Tally, TrialConfig]] = deque()
        """What is left of the latest trial."""

    def __iter__(self) -> _Seeds:
        return self

    def __next__(self) -> tuple[Tally, TrialConfig]:
        while not self.waiting:
            trial = next(self._trials)
            configs = trial.configs()
            tally = Tally(trial, len(configs))
            self.waiting.extend((tally, config) for config in configs)
        return self.waiting.popleft()


def _passed_over(tally: Tally, config: TrialConfig) -> TrialRecord:
    """Ends a seed before it begins, because its trial is over."""
    folder = TrialFolder(Path(config.root_dir))
    folder.claim(overwrite=tally.trial.resume)
    folder.save_config(config)
    record = TrialRecord.unbegun(config, "pruned", tally.reason)
    folder.save_record(record)
    return record


def _not_begun(exit_code: int) -> SweepRLError:
    return SweepRLError(
        f"A worker process must begin, but it ended with exit code {exit_code}; what it wrote "
        "stands above. It imports the main script anew, in which ProcessExecutor.run must stand "
        'under if __name__ == "__main__":'
    )


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
