"""Running commands in this process, and a trial to look at."""

from __future__ import annotations

import json
import sys
from typing import Any, NamedTuple

import pytest

from sweeprl.cli import main

SMALL = [
    "max_env_steps=600",
    "warmup_steps=100",
    "batch_size=32",
    "evaluation.episodes=1",
    "evaluation.final_episodes=1",
    "train_env_config.render_every_episode=0",
    "test_env_config.render_every_episode=0",
    "logger=[csv]",
    "gpus=null",
    "frame_config.model_kwargs.*.hidden=[16]",
]
SMALL_SETTINGS = [part for setting in SMALL for part in ("--set", setting)]


class Result(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """`cli("run", "--config", path)` in tmp_path; wide and colourless."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERMINAL_WIDTH", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments) -> Result:
        monkeypatch.setattr(sys, "argv", ["sweeprl", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsys.readouterr()
        return Result(exit_info.value.code or 0, captured.out, captured.err)

    return call


@pytest.fixture
def refused(cli):
    """Like `cli`, for what must end in one paragraph on standard error and exit code 2."""

    def call(*arguments) -> str:
        result = cli(*arguments)
        assert result.code == 2
        assert result.out == ""
        assert result.err.startswith("Error: ")
        assert "Traceback" not in result.err
        assert "\n\n" not in result.err.rstrip("\n")
        return result.err

    return call


@pytest.fixture
def config_file(cli, tmp_path):
    """A generated config for CartPole-v1."""
    assert cli("generate", "--algo", "DQN", "--output", tmp_path / "config.json").code == 0
    return tmp_path / "config.json"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a finished trial of 600 steps; look, do not touch."""
    import sweeprl
    from sweeprl.config import parse_value

    config = sweeprl.generate_training_config(
        root_dir=str(tmp_path_factory.mktemp("trained") / "trial"),
        config=sweeprl.generate_env_config("gymnasium", sweeprl.generate_algorithm_config("DQN")),
    )
    changes = dict(setting.split("=") for setting in SMALL)
    params = {key: parse_value(value) for key, value in changes.items()}
    merged = sweeprl.merge(sweeprl.TrialConfig.of(config), params)
    record = sweeprl.launch(merged, view="none")
    assert record.status == "finished"
    from pathlib import Path

    return Path(config["root_dir"])
