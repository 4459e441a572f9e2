"""Small agents of every frame, and what they experience."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from sweeprl import registry
from sweeprl.config import (
    Continuous,
    Discrete,
    EnvSpec,
    ReplayConfig,
    RolloutConfig,
    SearchConfig,
    TransitionConfig,
    build,
)
from sweeprl.testing import random_trajectories, random_transitions

# One frame of each kind that the engine treats in its own way; the contract suite has all.
SPECS = {
    "ARS": EnvSpec(4, Discrete(2)),
    "DQN": EnvSpec(4, Discrete(2)),
    "GAIL": EnvSpec(4, Discrete(2)),
    "DQNPer": EnvSpec(4, Discrete(2)),
    "RAINBOW": EnvSpec(4, Discrete(2)),
    "PPO": EnvSpec(4, Discrete(2)),
    "TRPO": EnvSpec(4, Discrete(2)),
    "TD3": EnvSpec(3, Continuous(1)),
    "SAC": EnvSpec(3, Continuous(1)),
}
REPLAY = [name for name in SPECS if issubclass(registry.frames.get(name).Config, ReplayConfig)]
SMALL = {"batch_size": 8, "rollout_steps": 16, "warmup_steps": 0, "replay_size": 100}
SMALL |= {"rollout_num": 2, "used_rollout_num": 1}
SMALL |= {"conjugate_iterations": 4}  # each amplifies round-off


OF_TRANSITIONS = set(TransitionConfig.model_fields)
"""Settings that only frames that learn from single transitions have."""


def frame_of(name, **settings):
    frame = registry.frames.get(name)
    if name == "GAIL":
        settings["expert_trajectory_path"] = str(expert_of(SPECS[name]))
    return frame(build(frame.Config, known(frame.Config, settings)), SPECS[name])


def known(kind, settings):
    """Small networks, and what a config and those nested in it know of the settings."""
    fields, sections = kind.model_fields, kind().sections
    small = {key: value for key, value in SMALL.items() if key in fields}
    inside = {k for part in sections.values() for k in type(part).model_fields}
    own = {k: v for k, v in settings.items() if k in fields or k not in OF_TRANSITIONS | inside}
    inner = {k: v for k, v in settings.items() if k in inside and k not in OF_ENVIRONMENT}
    nested = {section: known(type(part), inner) for section, part in sections.items()}
    networks = [{"hidden": [16]} for _ in fields["models"].default]
    return {"model_kwargs": networks, **small, **own, **nested}


OF_ENVIRONMENT = {"normalize_reward"}
"""What a nested config is not given, since its rewards are not the environment's."""


@functools.cache
def expert_of(spec):
    """A file of made-up episodes."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    random_trajectories(spec, Path(folder, "trajectory.data"))
    return Path(folder, "trajectory.data")


def steps_of(name):
    """Steps of a chunk; enough for the episodes of a frame that searches to end in it."""
    experience = registry.frames.get(name).Config().experience
    if isinstance(experience, SearchConfig):
        return 32
    return 16 if isinstance(experience, RolloutConfig) else 8


def chunk(name, num, seed=0):
    """A chunk of `num` lanes."""
    return random_transitions(SPECS[name], steps_of(name), num, seed)


def of_lane(data, lane, steps=None):
    """What a lane saw in a chunk, as far as it counts."""
    return {key: np.ascontiguousarray(v[:steps, lane : lane + 1]) for key, v in data.items()}


def assert_same_lane(learner, lane, other, other_lane=0, atol=1e-5):
    """Parameters, counts, normalizers and optimizers of two lanes agree."""
    mine, theirs = learner.state_dict(lane), other.state_dict(other_lane)
    assert mine["counts"] == theirs["counts"]
    assert_close(mine["weights"], theirs["weights"], atol)
    assert_close(mine["optimizers"], theirs["optimizers"], atol)
    assert_close(mine["reward"], theirs["reward"], atol)
    assert_close(mine["search"], theirs["search"], atol)
    assert_close(mine["memory"], theirs["memory"], atol)
    for key, value in (theirs["replay"] or {}).items():
        assert_close(mine["replay"][key], value, 0 if key in ("rows", "stored") else 10 * atol)


def assert_close(one, other, atol):
    if isinstance(other, dict):
        assert one.keys() == other.keys()
        for key, value in other.items():
            assert_close(one[key], value, atol)
    elif isinstance(other, list):
        for mine, theirs in zip(one, other, strict=True):
            assert_close(mine, theirs, atol)
    elif isinstance(other, torch.Tensor):
        torch.testing.assert_close(one, other, atol=atol, rtol=atol * 10)
    elif isinstance(other, float):
        assert one == pytest.approx(other, rel=atol, abs=atol)
    else:
        assert one == other
