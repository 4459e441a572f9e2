"""The examples run as their first lines say, and do what they show."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(*arguments, cwd):
    command = [sys.executable, *(str(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def record(root):
    return json.loads((root / "record.json").read_text())


def test_an_environment_of_ones_own_is_learned(tmp_path):
    config = EXAMPLES / "tracking" / "config.json"
    done = run("-m", "sweeprl", "run", "--config", config, "--root-dir", "learned", cwd=tmp_path)
    assert "random" in done.stderr
    untrained = ["--set", "max_env_steps=60", "--root-dir", "untrained"]
    run("-m", "sweeprl", "run", "--config", config, *untrained, cwd=tmp_path)
    learned, start = record(tmp_path / "learned"), record(tmp_path / "untrained")
    assert learned["test_return"] > start["test_return"] / 2  # returns are negative distances
    run("-m", "sweeprl", "evaluate", "learned", "--episodes", "2", cwd=tmp_path)


def test_the_four_steps_from_python(tmp_path):
    done = run(EXAMPLES / "programmatic.py", tmp_path / "trial", cwd=tmp_path)
    assert "finished after 8000 environment steps" in done.stdout
    assert record(tmp_path / "trial")["test_return"] > 50


def test_trials_as_lanes(tmp_path):
    done = run(EXAMPLES / "lanes.py", tmp_path / "lanes", cwd=tmp_path)
    assert "12 lanes of DQN" in done.stderr
    records = [record(tmp_path / "lanes" / f"trial-{number:02}") for number in range(24)]
    statuses = [one["status"] for one in records]
    assert set(statuses) == {"finished", "pruned"}
    assert f"{statuses.count('finished')} finished" in done.stdout
    best = max(records, key=lambda one: (one["status"] == "finished") * one["score"])
    assert f"with score {best['score']:.1f}" in done.stdout


def test_a_sweep_from_python(tmp_path):
    small = ["--trials", "4", "--max-env-steps", "600", "--root-dir", tmp_path / "sweep"]
    done = run(EXAMPLES / "sweep.py", *small, cwd=tmp_path)
    assert "winner: trial" in done.stdout
    assert "a study of one's own: " in done.stdout
    assert (tmp_path / "sweep" / "sweep" / "best.json").exists()
    assert record(tmp_path / "sweep" / "study" / "0001")["status"] in ("finished", "pruned")


@pytest.mark.parametrize("from_folder", ["elsewhere", "beside"])
def test_a_config_of_the_predecessor_runs_unchanged(from_folder, tmp_path):
    folder = EXAMPLES / "predecessor"
    cwd = folder if from_folder == "beside" else tmp_path
    root = tmp_path / "trial"
    command = ["-m", "sweeprl", "run", "--config", folder / "config.json", "--root-dir", root]
    run(*command, cwd=cwd)
    assert record(root)["status"] == "finished"
    assert "early_stopping_patience" in record(root)["reason"]


def test_an_experiment_of_nni_from_python(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    small = ["--trials", "2", "--max-env-steps", "600", "--output", tmp_path / "experiment"]
    done = run(EXAMPLES / "nni_experiment.py", *small, cwd=tmp_path)
    assert "done: 2 trials: 2 succeeded" in done.stdout
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("record.json")]
    assert [one["env_steps"] for one in records] == [600, 600]
