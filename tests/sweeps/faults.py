"""Starts sweeps, injects faults into them, and looks at what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
from optuna.trial import FrozenTrial, TrialState

from sweeprl.sweeps import SweepFolder, entries_of
from sweeprl.sweeps.storage import close_storage

REPOSITORY = Path(__file__).parents[2]


class Victim:
    """A running sweep, and what it has said."""

    def __init__(self, root_dir, trials=6, **settings) -> None:
        command = json.dumps({"root_dir": str(root_dir), "trials": trials, **settings})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.sweeps.victim", command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.events: list[dict] = []
        self.errors = ""
        self._readers = [threading.Thread(target=self._hear), threading.Thread(target=self._moan)]
        for reader in self._readers:
            reader.start()

    def _hear(self) -> None:
        with self.process.stdout as lines:
            for line in lines:
                with suppress(ValueError):  # cut off by a kill
                    self.events.append(json.loads(line))

    def _moan(self) -> None:
        with self.process.stderr as stream:
            self.errors = stream.read()

    def workers(self) -> list[int]:
        """The processes that train: they lead their sessions."""
        with suppress(psutil.Error):
            found = psutil.Process(self.process.pid).children(recursive=True)
            return [process.pid for process in found if leads_session(process.pid)]
        return []

    def heard(self, kind: str) -> list[dict]:
        return [event for event in list(self.events) if event["event"] == kind]

    def wait_for(self, kind: str, count: int = 1, seconds: float = 90) -> None:
        """Waits until something has happened so many times."""
        deadline = time.monotonic() + seconds
        while len(self.heard(kind)) < count:
            assert time.monotonic() < deadline, f"no {count} {kind} in time: {self.errors}"
            assert self.process.poll() is None, self.errors
            time.sleep(0.02)

    def kill(self, *pids: int, number: int = signal.SIGKILL) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self, seconds: float = 120) -> int:
        """Waits for the end; returns the exit code."""
        try:
            code = self.process.wait(seconds)
        finally:
            self.process.kill()
        for reader in self._readers:
            reader.join(10)
        return code


def leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


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
