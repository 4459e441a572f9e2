"""Trials of a few hundred steps, and what they leave behind."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

import sweeprl
from sweeprl.config import Discrete, EnvSpec, TrialConfig
from sweeprl.executors import LanesExecutor
from sweeprl.trials import MemoryReporter, Trial
from tests.engine.agents import expert_of
from tests.frame_environments import ENVS, EXTENSIONS

SMALL = {
    "DQN": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.25),
    "DQNPer": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.25),
    "RAINBOW": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.25),
    "DDPG": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.125),
    "TD3": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.125),
    "DDPGPer": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.125),
    "HDDPG": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.125),
    "SAC": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.125),
    "MADDPG": dict(warmup_steps=50, batch_size=16, replay_size=1000, updates_per_step=0.125),
    "ARS": dict(rollout_num=2, used_rollout_num=2),
    "A2C": dict(rollout_steps=64, batch_size=32, actor_update_times=2, critic_update_times=2),
    # Each iteration amplifies round-off.
    "TRPO": dict(
        rollout_steps=64,
        batch_size=32,
        actor_update_times=1,
        critic_update_times=2,
        conjugate_iterations=2,
    ),
    "GAIL": dict(
        batch_size=32,
        expert_trajectory_path=str(expert_of(EnvSpec(4, Discrete(2)))),
        PPO_config=dict(
            model_kwargs=[{"hidden": [16]}] * 2,
            rollout_steps=64,
            batch_size=32,
            actor_update_times=2,
            critic_update_times=2,
        ),
    ),
    "PPO": dict(rollout_steps=64, batch_size=32, actor_update_times=2, critic_update_times=2),
}


def small_config(root, frame="DQN", env="torch", frame_config=(), **settings) -> TrialConfig:
    """A trial of 300 steps; `lane_of` tells what it is as a lane."""
    config = sweeprl.generate_algorithm_config(frame)
    networks = [{"hidden": [16]} for _ in config["frame_config"]["models"]]
    config["frame_config"] |= {"model_kwargs": networks, **SMALL[frame], **dict(frame_config)}
    config = sweeprl.generate_env_config(
        EXTENSIONS.get(frame, env), config, env_name=ENVS[frame], render_every_episode=0
    )
    defaults = dict(
        root_dir=str(root),
        max_env_steps=300,
        report_every_env_steps=100,
        evaluation=dict(episodes=2, every_env_steps=200, final_episodes=3),
        logger=["csv"],
        gpus=None,
    )
    return TrialConfig.of(
        sweeprl.generate_training_config(config=config, **{**defaults, **settings})
    )


def wrapped_config(root, wrapper, **settings) -> TrialConfig:
    """A trial whose training environment is wrapped by a class, "module.Class"."""
    config = small_config(root, env="gymnasium", **settings).to_dict()
    config["train_env_config"]["wrappers"] = [wrapper]
    return TrialConfig.of(config)


def run(trials, num_lanes=3, **settings) -> list[str]:
    """Trains trials as lanes; returns the lines meant for the user."""
    lines: list[str] = []
    executor = LanesExecutor(num_lanes, num_threads=1, say=lines.append, **settings)
    executor.run(trials)
    return lines


def run_configs(configs, num_lanes=3, reporters=None, **settings) -> list[MemoryReporter]:
    reporters = reporters or [MemoryReporter() for _ in configs]
    trials = (Trial(c, r) for c, r in zip(configs, reporters, strict=True))
    run(trials, num_lanes, **settings)
    return reporters


def outcomes(reporters) -> list[str]:
    return [reporter.outcome.status for reporter in reporters]


def record(root) -> dict:
    return json.loads((Path(root) / "record.json").read_text())


def curve(root) -> list[dict[str, float]]:
    with (Path(root) / "metrics.csv").open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def last(root) -> dict:
    return torch.load(Path(root) / "checkpoints" / "last.ckpt", weights_only=True)


def assert_same_end(one, other, atol=0.0) -> None:
    """The same curves, parameters and counts; bit for bit, but where a tolerance is given."""
    mine, theirs = curve(one), curve(other)
    assert [row.keys() for row in mine] == [row.keys() for row in theirs]
    for row, expected in zip(mine, theirs, strict=True):
        assert row == pytest.approx(expected, abs=1e-6 + atol * 1e3, rel=1e-6 + atol * 10)
    mine, theirs = last(one)["learner"], last(other)["learner"]
    assert mine["counts"] == theirs["counts"]
    for role, named in theirs["weights"]["networks"].items():
        for name, value in named.items():
            found = mine["weights"]["networks"][role][name]
            torch.testing.assert_close(found, value, atol=atol, rtol=0, msg=f"{role}.{name}")
    for key in ("env_steps", "episodes", "updates", "status"):
        assert record(one)[key] == record(other)[key], key
    assert record(one)["score"] == pytest.approx(record(other)["score"], rel=1e-4)
    assert record(one)["test_returns"] == pytest.approx(record(other)["test_returns"], rel=1e-3)
