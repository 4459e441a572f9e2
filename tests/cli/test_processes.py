"""The command line as a user starts it: real processes, real signals."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SMALL_SETTINGS

SCRIPT = Path(sys.executable).with_name("sweeprl")


def run(folder, *arguments, program=(sys.executable, "-m", "sweeprl")):
    return subprocess.run(
        [*program, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_generate_run_evaluate(tmp_path):
    done = run(tmp_path, "generate", "--algo", "DQN", "--output", "config.json")
    assert (done.returncode, done.stderr) == (0, "")

    done = run(tmp_path, "run", "--config", "config.json", *SMALL_SETTINGS)
    assert done.returncode == 0
    assert "finished: the budget is spent" in done.stdout
    assert "arning" not in done.stderr  # Lightning's and Gymnasium's are not for users
    assert {"config.json", "record.json", "metrics.csv", "checkpoints"} <= {
        path.name for path in (tmp_path / "trial").iterdir()
    }

    done = run(tmp_path, "evaluate", "trial", "--episodes", 2, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["returns"]) == 2


@pytest.mark.skipif(not SCRIPT.exists(), reason="sweeprl is not installed beside this Python")
def test_the_installed_script_lists(tmp_path):
    done = run(tmp_path, "list", "--algo", program=(SCRIPT,))
    assert (done.returncode, done.stderr) == (0, "")
    assert "DQN" in done.stdout


@pytest.mark.usefixtures("config_file")
def test_a_wrong_setting_is_one_line_and_exit_code_2(tmp_path):
    done = run(tmp_path, "run", "--config", "config.json", "--set", "lerning_rate=1")
    assert done.returncode == 2
    assert done.stderr == (
        "Error: lerning_rate: Unknown key 'lerning_rate'. Did you mean 'learning_rate'?\n"
    )
    assert done.stdout == ""


@pytest.mark.usefixtures("config_file")
def test_ctrl_c_ends_cleanly_and_resume_goes_on(cli, tmp_path):
    endless = ["--set", "max_env_steps=10000000", "--set", "max_episodes=1000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sweeprl", "run", "--config", "config.json", "--json"]
        + SMALL_SETTINGS
        + endless,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stdout:
            if json.loads(line)["env_steps"] >= 300:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + signal.SIGINT
    assert err == ""
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["reason"]) == ("stopped", "signal 2")
    assert (tmp_path / "trial" / "checkpoints" / "last.ckpt").exists()

    goal = last["env_steps"] + 150
    result = cli("run", "--resume", "trial", "--json", "--set", f"max_env_steps={goal}")
    assert (result.code, result.err) == (0, "")
    record = result.events[-1]
    assert (record["status"], record["env_steps"]) == ("finished", goal)
    assert record["episodes"] >= last["episodes"]
