"""Small agents of every frame, and what they experience."""

from __future__ import annotations

import numpy as np
import torch

from sweeprl import registry
from sweeprl.config import Continuous, Discrete, EnvSpec, build
from sweeprl.testing.frames import random_transitions

SPECS = {
    "DQN": EnvSpec(4, Discrete(2)),
    "DQNPer": EnvSpec(4, Discrete(2)),
    "RAINBOW": EnvSpec(4, Discrete(2)),
    "PPO": EnvSpec(4, Discrete(2)),
    "DDPG": EnvSpec(3, Continuous(1)),
    "TD3": EnvSpec(3, Continuous(1)),
    "DDPGPer": EnvSpec(3, Continuous(1)),
    "HDDPG": EnvSpec(3, Continuous(1)),
    "SAC": EnvSpec(3, Continuous(1)),
}
SMALL = {"batch_size": 8, "rollout_steps": 16, "warmup_steps": 0, "replay_size": 100}


def frame_of(name, **settings):
    frame = registry.frames.get(name)
    known = {key: value for key, value in SMALL.items() if key in frame.Config.model_fields}
    networks = [{"hidden": [16]} for _ in frame.Config.model_fields["models"].default]
    config = build(frame.Config, {"model_kwargs": networks, **known, **settings})
    return frame(config, SPECS[name])


def steps_of(name):
    return 16 if name == "PPO" else 8


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
    else:
        assert one == other
