"""What experiments that train search, and whether their trials trained what was proposed."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

import psutil

from sweeprl.config import check_applied
from sweeprl.launcher import TrialFolder
from sweeprl.nni.reading.listing import Experiment
from sweeprl.nni.running.processes import Processes, find_processes
from sweeprl.search_spaces import SearchSpace
from sweeprl.trials.nni import NNITrialFile

SPACE = SearchSpace.of(
    {
        "learning_rate": {"_type": "loguniform", "_value": [1e-4, 1e-2]},
        "log2(batch_size)": {"_type": "quniform", "_value": [4, 6, 1]},
        "update_rate": {"_type": "uniform", "_value": [0.01, 0.1]},
    }
)


def check_parameters(folder: Path) -> NNITrialFile:
    """What the tuner proposed, what we kept and what was trained are the same."""
    kept = NNITrialFile.load(folder)
    assert kept is not None
    proposal = kept.proposal
    assert kept.params["batch_size"] == 2 ** proposal["log2(batch_size)"]
    assert kept.params["learning_rate"] == proposal["learning_rate"]
    assert kept.params["update_rate"] == proposal["update_rate"]
    check_applied(TrialFolder(folder).load_config(), kept.params)
    return kept


def labels(experiment: Experiment) -> dict[str, dict]:
    """The parameters that NNI shows for each trial."""
    return {
        job["trialJobId"]: json.loads(job["hyperParameters"][-1])["parameters"]
        for job in experiment.manager._get("/trial-jobs")
        if job.get("hyperParameters")
    }


def listeners(processes: Processes) -> list[str]:
    """Where they listen, from ss."""
    pids = {process.pid for group in processes for process in group}
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    its = [line for line in lines.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    return [line.split()[3] for line in its]


class Watchman(threading.Thread):
    """Takes note of where the processes of an experiment listen while it runs."""

    def __init__(self, home: Path) -> None:
        super().__init__(daemon=True)
        self._home, self.is_over = home, threading.Event()
        self.addresses: set[str] = set()
        self.most_trials = 0

    def run(self) -> None:
        while not self.is_over.wait(0.5):
            for folder in (self._home / "nni-experiments").glob("*/db"):
                self._look(folder.parent.name)

    def _look(self, experiment: str) -> None:
        found = find_processes(experiment)
        trials = {one.pid: one for one in found.trials if "--config" in _command(one)}
        # A process that a trial is about to start looks like the trial for a moment.
        own = [one for one in trials.values() if _parent(one) not in trials]
        self.most_trials = max(self.most_trials, len(own))
        for process in (*found.managers, *found.dispatchers, *found.trials):
            self.addresses |= _listening(process)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _parent(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _listening(process: psutil.Process) -> set[str]:
    try:
        connections = process.net_connections("all")
    except psutil.Error:
        return set()
    return {one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN}
