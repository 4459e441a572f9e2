"""Fixtures that several test folders share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeprl import (
    generate_algorithm_config,
    generate_env_config,
    generate_training_config,
)
from tests.frame_environments import ENVS, EXTENSIONS

DATA = Path(__file__).parent / "data"

SMALL = {
    "max_env_steps": 600,
    "evaluation": {"episodes": 1, "final_episodes": 1},
    "logger": ["csv"],
    "gpus": None,
}


def _small(frame: str, root_dir: Path) -> dict:
    config = generate_algorithm_config(frame)
    extension = EXTENSIONS.get(frame, "gymnasium")
    config = generate_env_config(extension, config, env_name=ENVS[frame], render_every_episode=0)
    config = generate_training_config(root_dir=str(root_dir), config=config, **SMALL)
    section = config["frame_config"]
    section["model_kwargs"] = [{"hidden": [16]} for _ in section["models"]]
    if "warmup_steps" in section:
        section |= {"warmup_steps": 100, "batch_size": 32, "replay_size": 10_000}
    elif "rollout_steps" in section:
        section |= {"rollout_steps": 128, "batch_size": 64}
    return config


@pytest.fixture
def small_config(tmp_path):
    """`small_config("DQN")`: a plain config that trains for a few hundred steps in tmp_path."""
    return lambda frame="DQN": _small(frame, tmp_path / "trial")


@pytest.fixture(scope="session")
def frame_defaults():
    """The specification's `frame_config` of each frame."""
    return json.loads((DATA / "frame_defaults.json").read_text())


@pytest.fixture
def specification_config():
    """The config.json that the specification prints."""
    return json.loads((DATA / "specification_config.json").read_text())
