"""Trials in processes of their own, a few at a time."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sweeprl.config import TrialConfig
from sweeprl.errors import TrialFailed
from sweeprl.launcher import TrialFolder, TrialRecord, launch
from sweeprl.trials import ReportOnGrid, Tally, Trial

__all__ = ["ProcessExecutor"]


class ProcessExecutor:
    """Trains every seed of every trial in a process of its own.

    Args:
        num_workers: processes at a time; by default as many as there are cores.
        say: takes lines meant for the user.
    """

    def __init__(
        self, num_workers: int | None = None, say: Callable[[str], None] | None = None
    ) -> None:
        self._num_workers = num_workers or multiprocessing.cpu_count()
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))  # noqa: T201

    def run(self, trials: Iterable[Trial]) -> None:
        """Trains all trials; each one's reporter hears how it went.

        Args:
            trials: asked for the next one when a process is free.

        Raises:
            Exception: what a trial raised that was not its own failure, a ConfigError for example.
        """
        jobs = _jobs(trials)
        lock = threading.Lock()
        with ThreadPoolExecutor(self._num_workers) as pool:
            running: set[Future[None]] = set()
            while True:
                while len(running) < self._num_workers and (job := next(jobs, None)) is not None:
                    running.add(pool.submit(_attend, *job, lock))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()


def _jobs(trials: Iterable[Trial]) -> Iterator[tuple[Tally, TrialConfig]]:
    for trial in trials:
        configs = trial.configs()
        tally = Tally(trial, len(configs))
        yield from ((tally, config) for config in configs)


def _attend(tally: Tally, config: TrialConfig, lock: threading.Lock) -> None:
    """Starts a process, and hands on what it says, one message at a time."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    trial = tally.trial
    process = context.Process(
        target=_work, args=(there, config.to_dict(), trial.config_folder, trial.resume)
    )
    process.start()
    there.close()
    record: TrialRecord | None = None
    error: BaseException | None = None
    try:
        while True:
            kind, *content = here.recv()
            if kind == "report":
                with lock:
                    tally.report(*content)
                    here.send(tally.should_stop)
            elif kind == "end":
                record = content[0]
            else:
                error = content[0]
    except EOFError:
        process.join()
    if error is not None:
        raise error
    with lock:
        tally.finish(record or _of_the_dead(config, process.exitcode))


def _of_the_dead(config: TrialConfig, exit_code: int | None) -> TrialRecord:
    """The record of a trial whose process is gone without a word."""
    folder = TrialFolder(Path(config.root_dir))
    reason = f"its process ended with exit code {exit_code}"
    if not folder.record.exists():
        return TrialRecord(status="failed", reason=reason, seed=config.seed)
    record = folder.load_record().model_copy(update={"status": "failed", "reason": reason})
    folder.save_record(record)
    return record


def _work(parent: Connection, config: dict[str, Any], config_folder: str, resume: bool) -> None:
    """Trains one seed of a trial, in the child."""
    folder = TrialFolder(Path(config["root_dir"]))
    callback = ReportOnGrid(_Messages(parent))
    try:
        record = launch(
            config,
            [callback],
            resume=resume and folder.last.exists(),
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
        self._parent.send(("report", env_steps, score))
        self.should_stop = self._parent.recv()
