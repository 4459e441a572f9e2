"""Optuna inside the real NNI: pruned, crashed, stopped, resumed; and read as a sweep."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sweeprl import TrialConfig
from sweeprl.cli.reading import read_sweep
from sweeprl.config import check_applied, load_config
from sweeprl.launcher import TrialFolder
from sweeprl.nni import create, resume, watch, write_experiment
from sweeprl.nni.reading.database import ExperimentDatabase
from sweeprl.nni.reading.listing import find
from sweeprl.nni.running.processes import find_processes
from sweeprl.search_spaces import SearchSpace
from tests.nni.folders import free_port, let_one_crash_and_one_be_pruned

SPACE = SearchSpace.of(
    {
        "learning_rate": {"_type": "loguniform", "_value": [1e-4, 1e-2]},
        "1 - discount": {"_type": "loguniform", "_value": [1e-3, 1e-1]},
        "log2(batch_size)": {"_type": "quniform", "_value": [4, 6, 1]},
    }
)


@pytest.fixture
def base(small_config) -> TrialConfig:
    plain = {**small_config("DQN"), "report_every_env_steps": 250, "max_env_steps": 1000}
    return TrialConfig.of({**plain, "checkpoint_every_seconds": 0.5})


def check_pairs(root: Path) -> dict[int, str]:
    """What the study says of each trial is what was trained; returns where each stands."""
    reading = read_sweep(root)
    for entry in reading.search:
        folder = TrialFolder(reading.folder_of(entry))
        if folder.record.exists():
            check_applied(folder.load_config(), entry.params)
            assert folder.load_config().root_dir == str(folder.root.resolve())
            assert folder.load_config().frame_config == reading.config_of(entry).frame_config
    return {entry.number: entry.state for entry in reading.search}


def test_an_experiment_is_stopped_resumed_and_read_as_a_sweep(home, base, tmp_path, cli):
    files = write_experiment(
        base, tmp_path / "files", SPACE, tuner="Optuna", assessor="Optuna", trials=5
    )
    let_one_crash_and_one_be_pruned(files.root)
    experiment = find(create(files.root, free_port()))
    root = experiment.folder / "sweep"

    def has_pruned() -> bool:
        pointer = root / "sweep.json"
        return pointer.exists() and "pruned" in read_sweep(root).counts

    assert watch(experiment.id, print, should_stop=has_pruned).status == "stopped"
    before = check_pairs(root)
    assert (before[1], before[2]) == ("failed", "pruned")
    assert read_sweep(root).result.status == "stopped"

    resume(experiment.id, free_port())
    outcome = watch(experiment.id, print)
    assert (outcome.status, outcome.reason) == ("done", "all trials have ended")
    assert not find_processes(experiment.id)
    expected = {0: "finished", 1: "failed", 2: "pruned", 3: "finished", 4: "finished"}
    assert check_pairs(root) == expected
    reading = read_sweep(root)
    assert reading.result.status == "finished"
    pruned = reading.trial(2)
    assert pruned.outcome["reason"] == "its assessor stopped it"
    assert list(pruned.reports)[:2] == [250, 500]
    for entry in reading.search:
        if entry.state == "finished":
            assert list(entry.reports) == list(range(250, 1001, 250))
            assert entry.score == TrialFolder(reading.folder_of(entry)).load_record().score
    rates = [entry.params.get("learning_rate") for entry in reading.search]
    assert len(set(rates)) == 5  # a seeded sampler did not begin anew
    jobs = ExperimentDatabase(experiment.folder).jobs()
    assert sorted(job.number for job in jobs) == list(range(5))
    assert not any(job.is_mislabelled for job in jobs)

    rows = json.loads(cli("trials", root, "--json").out)
    assert len(rows) == 5
    best = reading.result.winner.number
    assert re.search(rf"^winner +trial {best}\b", cli("best", root).out, re.MULTILINE)
    assert load_config(root / "best.json").seed == 100_000
    assert "pruned: its assessor stopped it" in cli("show", root, 2).out
    again = cli("reproduce", root, best, "--json", "--root-dir", tmp_path / "again")
    assert json.loads(again.out)["same"], again.out
    imported = cli("nni", "import", experiment.id)
    assert "0 new, 5 known before" in imported.out
    confirmed = cli("confirm", root, "--runs", 3, "--executor", "in-process")
    assert confirmed.code == 0, confirmed.err
    assert re.search(r"^confirmed +\d", confirmed.out, re.MULTILINE)
    assert read_sweep(root).result.is_confirmed
