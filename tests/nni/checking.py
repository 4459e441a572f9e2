"""What experiments that train search, and whether their trials trained what was proposed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from sweeprl.config import check_applied
from sweeprl.launcher import TrialFolder
from sweeprl.nni.reading.listing import Experiment
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


def listeners(pids: set[int]) -> list[str]:
    """Where processes listen, from ss."""
    lines = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    its = [line for line in lines.splitlines() if any(f"pid={pid}," in line for pid in pids)]
    return [line.split()[3] for line in its]
