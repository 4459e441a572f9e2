"""Starts sweeps, injects faults into them, and looks at what is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from optuna.trial import FrozenTrial, TrialState

from sweeprl.executors._pool import ensure_template
from sweeprl.sweeps import SweepFolder, entries_of
from sweeprl.sweeps.storage import close_storage
from tests.sweeps.victim import main


class Victim:
    """A running sweep, and what it has said.

    It is forked from a process that has imported everything.
    """

    def __init__(self, root_dir, trials=6, folder=None, **settings) -> None:
        self._folder = Path(tempfile.mkdtemp(dir=folder or Path(root_dir).parent))
        self._errors = self._folder / "errors.txt"
        assert ensure_template()
        context = multiprocessing.get_context("forkserver")
        self._connection, there = context.Pipe(duplex=False)
        settings = {"root_dir": str(root_dir), "trials": trials, **settings}
        arguments = (there, self._errors, self._folder, settings)
        self.process = context.Process(target=main, args=arguments)
        self.process.start()
        there.close()
        self.events: list[dict] = []
        self._reader = threading.Thread(target=self._hear, daemon=True)
        self._reader.start()

    def _hear(self) -> None:
        with suppress(EOFError, OSError):  # cut off by a kill
            while True:
                self.events.append(self._connection.recv())

    @property
    def errors(self) -> str:
        return self._errors.read_text() if self._errors.exists() else ""

    def workers(self) -> list[int]:
        """The processes that train: children of the one that they are forked from."""
        with suppress(psutil.Error):
            template = psutil.Process(self.process.pid).children()
            return [worker.pid for process in template for worker in process.children()]
        return []

    def heard(self, kind: str) -> list[dict]:
        return [event for event in list(self.events) if event["event"] == kind]

    def wait_for(self, kind: str, count: int = 1, seconds: float = 90) -> None:
        """Waits until something has happened so many times."""
        deadline = time.monotonic() + seconds
        while len(self.heard(kind)) < count:
            assert time.monotonic() < deadline, f"no {count} {kind} in time: {self.errors}"
            assert self.process.is_alive(), self.errors
            time.sleep(0.02)

    def kill(self, *pids: int, number: int = signal.SIGKILL) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, seconds: float = 120) -> int | None:
        """Waits for the end; returns the exit code, negative for a signal."""
        self.process.join(seconds)
        is_over = not self.process.is_alive()
        self.process.kill()
        self.process.join()
        assert is_over, f"it did not end in {seconds:g} s: {self.errors}"
        self._reader.join(10)
        return self.process.exitcode


def attempts_at(root_dir, storage=None) -> list[FrozenTrial]:
    """All attempts at the trials of the search."""
    study = SweepFolder(Path(root_dir)).search(storage)
    attempts = study.get_trials()
    close_storage(study._storage)
    return attempts


def check_nothing_is_lost(root_dir, trials, victims, storage=None) -> None:
    """Every trial is there once and over, and so is every report that was acknowledged."""
    attempts = attempts_at(root_dir, storage)
    entries = entries_of(attempts)
    assert len(entries) == trials
    open_states = (TrialState.RUNNING, TrialState.WAITING)
    assert [attempt.number for attempt in attempts if attempt.state in open_states] == []
    assert all(entry.is_over and entry.outcome for entry in entries)
    by_label = {str(entry.number): entry for entry in entries}
    for victim in victims:
        for report in victim.heard("report"):
            if " on seed " not in report["trial"]:
                known = by_label[report["trial"]].reports
                assert known.get(report["env_steps"]) is not None, report
        for ended in victim.heard("trial_ended"):
            if " on seed " not in ended["trial"]:
                assert by_label[ended["trial"]].outcome["scores"] == ended["scores"]
    folders = [str(path) for path in (Path(root_dir) / "trials").iterdir()]
    assert len(folders) == len(set(folders)) <= trials
