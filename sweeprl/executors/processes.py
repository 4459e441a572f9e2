"""Trials in processes of their own, a few at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from sweeprl.config import TrialConfig
from sweeprl.errors import ConfigError, TrialFailed
from sweeprl.launcher import TrialFolder, TrialRecord, launch
from sweeprl.trials import ReportOnGrid, Tally, Trial

__all__ = ["ProcessExecutor"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ProcessExecutor:
    """Trains every seed of every trial in a process of its own.

    A signal stops all of them; a second one ends them at once.

    Args:
        num_workers: processes at a time; by default as many as there are cores.

    Raises:
        ConfigError: `num_workers` is not positive.
    """

    def __init__(self, num_workers: int | None = None) -> None:
        if num_workers is not None and num_workers < 1:
            raise ConfigError(f"num_workers must be at least 1, but got {num_workers}.")
        self._num_workers = num_workers or multiprocessing.cpu_count()
        self.received: int | None = None
        """The signal that ended the last run, if one did."""
        self._lock = threading.Lock()
        self._processes: set[BaseProcess] = set()
        self._error: BaseException | None = None

    @property
    def was_stopped(self) -> bool:
        """Whether a signal ended the last run."""
        return self.received is not None

    def run(self, trials: Iterable[Trial]) -> None:
        """Trains all trials; each one's reporter hears how it went.

        Args:
            trials: asked for the next one when a process is free.

        Raises:
            Exception: what a reporter raised, or a trial where it was not its own failure, a
                ConfigError for example. The trials that ran have failed with it.
        """
        self.received, self._error = None, None
        jobs = _Jobs(trials)
        with self._signals_handled(), ThreadPoolExecutor(self._num_workers) as pool:
            running: set[Future[None]] = set()
            try:
                while True:
                    while len(running) < self._num_workers and (job := self._next(jobs)):
                        running.add(pool.submit(self._attend, *job))
                    if not running:
                        break
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
            except BaseException as error:
                self._break_off(error)
                raise
        for tally, config in jobs.seeds:
            self._finish_unbegun(tally, config)

    def _next(self, jobs: _Jobs) -> tuple[Tally, TrialConfig] | None:
        return None if self.was_stopped else next(jobs, None)

    @contextmanager
    def _signals_handled(self) -> Iterator[None]:
        """Hands signals on to the processes; only a process's main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._signal_all(number)

    def _signal_all(self, number: int) -> None:
        for process in list(self._processes):
            assert process.pid is not None
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(process.pid, number)

    def _break_off(self, error: BaseException) -> None:
        """Stops all processes because of an error that is raised when they are gone."""
        self._error = self._error or error
        self._signal_all(signal.SIGTERM)

    def _attend(self, tally: Tally, config: TrialConfig) -> None:
        """Starts a process, and hands on what it says, one message at a time."""
        if self.was_stopped or self._error is not None:
            self._finish_unbegun(tally, config)
            return
        if tally.should_stop:
            with self._lock:
                tally.finish(_passed_over(tally, config))
            return
        tally.has_begun, before = True, _written_at(config)
        process, here = _started(tally.trial, config)
        self._processes.add(process)
        if self.was_stopped or self._error is not None:  # since it was looked at above
            self._signal_all(signal.SIGTERM)
        try:
            record = self._listen(tally, here)
        except BaseException as error:
            self._break_off(error)
            raise
        finally:
            here.close()
            process.join()
            self._processes.discard(process)
            if self._error is not None and _written_at(config) != before:
                _say_failed(config, self._error)
        if self._error is None:
            with self._lock:
                tally.finish(record or self._of_the_dead(config, process.exitcode))

    def _finish_unbegun(self, tally: Tally, config: TrialConfig) -> None:
        """Tells a trial of which some seeds have begun that this one will not."""
        if self.received is None or not tally.has_begun:
            return
        facts: dict[str, Any] = {"status": "stopped", "reason": f"signal {self.received}"}
        with self._lock:
            tally.finish(TrialRecord(**facts, score_kind=config.score, seed=config.seed))

    def _listen(self, tally: Tally, here: Connection) -> TrialRecord | None:
        """Returns the record that a process ends with; None where it ends without a word."""
        try:
            while True:
                kind, *content = here.recv()
                if kind == "report":
                    with self._lock:
                        tally.report(*content)
                    here.send(tally.should_stop)
                elif kind == "end":
                    record: TrialRecord = content[0]
                    return record
                else:
                    raise content[0]
        except (EOFError, ConnectionError):
            return None

    def _of_the_dead(self, config: TrialConfig, exit_code: int | None) -> TrialRecord:
        """The record of a trial whose process is gone without a word."""
        status, reason = "failed", f"its process ended with exit code {exit_code}"
        if self.received is not None:
            status, reason = "stopped", f"signal {self.received}"
        return _ended(config, status, reason)


class _Jobs:
    """The seeds of trials, one after the other; asks for a trial when it has none left."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._trials = iter(trials)
        self.seeds: deque[tuple[Tally, TrialConfig]] = deque()
        """What is left of the latest trial."""

    def __iter__(self) -> _Jobs:
        return self

    def __next__(self) -> tuple[Tally, TrialConfig]:
        while not self.seeds:
            trial = next(self._trials)
            configs = trial.configs()
            tally = Tally(trial, len(configs))
            self.seeds.extend((tally, config) for config in configs)
        return self.seeds.popleft()


def _started(trial: Trial, config: TrialConfig) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_work, args=(there, config.to_dict(), trial.config_folder, trial.resume)
    )
    process.start()
    there.close()
    return process, here


def _passed_over(tally: Tally, config: TrialConfig) -> TrialRecord:
    """Ends a seed before it begins, because its trial is over."""
    folder = TrialFolder(Path(config.root_dir))
    folder.claim(overwrite=tally.trial.resume)
    folder.save_config(config)
    record = TrialRecord(
        status="pruned", reason=tally.reason, score_kind=config.score, seed=config.seed
    )
    folder.save_record(record)
    return record


def _ended(config: TrialConfig, status: str, reason: str) -> TrialRecord:
    """Ends the record of a trial that could not do so itself."""
    folder = TrialFolder(Path(config.root_dir))
    facts: dict[str, Any] = {"status": status, "reason": reason}
    if not folder.record.exists():
        return TrialRecord(**facts, score_kind=config.score, seed=config.seed)
    record = folder.load_record().model_copy(update=facts)
    folder.save_record(record)
    return record


def _written_at(config: TrialConfig) -> int | None:
    """When a trial's record was written, in nanoseconds; None where there is none."""
    path = TrialFolder(Path(config.root_dir)).record
    return path.stat().st_mtime_ns if path.exists() else None


def _say_failed(config: TrialConfig, error: BaseException) -> None:
    """Notes that a trial ended with what another one or its reporter raised."""
    if TrialFolder(Path(config.root_dir)).load_record().status in ("running", "stopped"):
        _ended(config, "failed", f"{type(error).__name__}: {error}")


def _work(parent: Connection, config: dict[str, Any], config_folder: str, resume: bool) -> None:
    """Trains one seed of a trial, in the child."""
    if hasattr(os, "setsid"):
        os.setsid()  # a terminal's Ctrl-C is for the parent, which hands it on
    folder = TrialFolder(Path(config["root_dir"]))
    can_go_on = resume and folder.last.exists()
    try:
        record = launch(
            config,
            [ReportOnGrid(_Messages(parent))],
            resume=can_go_on,
            overwrite=resume and not can_go_on,
            config_folder=config_folder or None,
            view="none",
        )
        parent.send(("end", record))
    except TrialFailed:
        parent.send(("end", folder.load_record()))
    except Exception as error:
        parent.send(("error", error))


class _Messages:
    """A tally at the other end of a pipe."""

    def __init__(self, parent: Connection) -> None:
        self._parent = parent
        self.should_stop = False

    def report(self, env_steps: int, score: float) -> None:
        try:
            self._parent.send(("report", env_steps, score))
            self.should_stop = self._parent.recv()
        except (EOFError, ConnectionError):  # the parent is gone; what was learned is kept
            os.kill(os.getpid(), signal.SIGTERM)
