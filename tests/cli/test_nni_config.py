from __future__ import annotations

import json
import re
import sys

import pytest
import yaml

from sweeprl.cli import main
from sweeprl.nni.writing import platforms


@pytest.fixture
def written(small_config, tmp_path, monkeypatch, capsys):
    """`written(*options)`: the exit code, what was said, and the config.yml."""
    monkeypatch.chdir(tmp_path)
    config = {**small_config("DQN"), "max_env_steps": 20_000}
    (tmp_path / "config.json").write_text(json.dumps(config))

    def write(*options):
        command = ["nni-config", "--config", "config.json", "--output", "e"]
        monkeypatch.setattr(sys, "argv", ["sweeprl", *command, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        path = tmp_path / "e" / "config.yml"
        content = yaml.safe_load(path.read_text()) if path.exists() else None
        return ended.value.code, said.out + said.err, content

    return write


def test_an_experiment_of_this_machine(written):
    code, said, content = written(
        *("--tuner", "evolution", "--tuner-set", "population_size=9", "--trials", "30"),
        *("--assessor", "Medianstop", "--assessor-set", "start_step=7", "--trial-minutes", "30"),
        *("--gpus-per-trial", "1", "--trials-per-gpu", "2"),
    )
    assert code == 0
    assert "Run with: sweeprl nni create e\n" in said
    assert content["tuner"]["classArgs"]["population_size"] == 9
    assert content["assessor"]["classArgs"]["start_step"] == 7
    assert content["maxTrialDuration"] == "1800s"
    assert (content["trialGpuNumber"], content["trainingService"]["maxTrialNumberPerGpu"]) == (1, 2)


def test_an_experiment_of_other_machines_tells_the_tunnels(written, tmp_path, monkeypatch):
    monkeypatch.setattr(platforms, "version", lambda _: "3.0")
    (tmp_path / "key").touch()
    machines = ("--machine", "ada@gpu1", "--machine", "ada@gpu2:2222")
    code, said, content = written(
        *machines, "--machine-python", "/venv/bin", "--ssh-key", "key", "--concurrency", "1"
    )
    assert code == 0
    key = re.escape(str(tmp_path / "key"))
    assert re.search(rf"ssh -N -i {key} -R 8080:127.0.0.1:8080 ada@gpu1\n", said)
    assert re.search(rf"ssh -N -i {key} -p 2222 -R 8080:127.0.0.1:8080 ada@gpu2\n", said)
    assert said.endswith("Run with: sweeprl nni create e --port 8080\n")
    assert [one["host"] for one in content["trainingService"]["machineList"]] == ["gpu1", "gpu2"]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--machine", "ada@gpu1"], "must come with --machine-python"),
        (["--machine-python", "/venv/bin"], "there is no --machine"),
        (["--tuner-set", "population_size"], "--tuner-set must be key=value"),
        (["--tuner", "Hyperband"], "it raises after its first trial. Use TPE"),
    ],
)
def test_what_cannot_work_is_refused(written, monkeypatch, options, message):
    monkeypatch.setattr(platforms, "version", lambda _: "3.0")
    code, said, content = written(*options)
    assert (code, content) == (2, None)
    assert message in " ".join(said.split())


def test_warm_trials_differ_in_what_lanes_may_differ_in(written, tmp_path):
    code, said, content = written("--warm", "--concurrency", "16")
    assert code == 0
    assert content["trialCommand"].endswith(" run --config base.json --warm")
    space = json.loads((tmp_path / "e" / "search_space.json").read_text())
    assert "learning_rate" in space
    assert "mode" not in space
    assert "processes of their own" not in said
    own = {"learning_rate": space["learning_rate"], "mode": {"_type": "choice", "_value": ["x"]}}
    own["mode"]["_value"] = ["double", "vanilla"]
    (tmp_path / "own.json").write_text(json.dumps(own))
    _, said, _ = written("--warm", "--space", "own.json", "--overwrite")
    assert "Trials that differ in mode cannot be trained together" in said


@pytest.mark.parametrize(
    "options, reason",
    [
        (("--tuner", "PBT"), "the tuner PBT hands agents on"),
        (("--gpus-per-trial", "1"), "NNI is to hand out GPUs"),
        (
            ("--machine", "a@b", "--machine-python", "/bin", "--concurrency", "1"),
            "the platform is remote",
        ),
    ],
)
def test_warm_trials_that_no_worker_could_serve_are_refused(written, options, reason):
    code, said, content = written("--warm", *options)
    assert (code, content) == (2, None)
    assert reason in said


def test_optuna_takes_settings_of_its_own(written):
    code, _, content = written("--tuner", "Optuna", "--sampler", "random", "--tuner-set", "seed=3")
    assert (code, content["tuner"]["classArgs"]) == (0, {"sampler": "random", "seed": 3})
    code, said, _ = written("--tuner", "Optuna", "--tuner-set", "sead=3", "--overwrite")
    assert code == 2
    assert "but got 'sead'. Did you mean 'seed'?" in said
