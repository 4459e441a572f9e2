from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import Callback

import sweeprl
from sweeprl import TrialConfig, registry
from sweeprl.config import Continuous
from sweeprl.envs import EvaluationDataset, SingleCopy
from sweeprl.envs._dynamics import dynamics
from sweeprl.envs._tensor_lanes import TensorLanes
from sweeprl.envs.gymnasium import Gymnasium, GymnasiumConfig
from sweeprl.envs.torch import Torch, TorchConfig
from sweeprl.errors import ConfigError, UnknownNameError
from tests.envs.classic import NAMES

CPU = torch.device("cpu")


def generated(root_dir, frame="DQN", env_name="CartPole-v1", env_config=(), **settings):
    config = sweeprl.generate_algorithm_config(frame)
    section = config["frame_config"]
    section["model_kwargs"] = [{"hidden": [8]}] * len(section["models"])
    if "warmup_steps" in section:
        section.update(warmup_steps=50, batch_size=8)
    else:
        section.update(rollout_steps=16, batch_size=16)
    config = sweeprl.generate_env_config("torch", config, env_name=env_name, **dict(env_config))
    defaults = dict(
        root_dir=str(root_dir),
        max_env_steps=300,
        report_every_env_steps=100,
        evaluation=dict(episodes=1, final_episodes=2),
        logger=["csv"],
        gpus=None,
    )
    return sweeprl.generate_training_config(config=config, **{**defaults, **settings})


def trial(tmp_path, **settings):
    return TrialConfig.of(generated(tmp_path, **settings))


class StopAt(Callback):
    """Interrupts training once `env_steps` are made."""

    def __init__(self, env_steps):
        self.env_steps = env_steps

    def on_train_batch_end(self, trainer, pl_module, *_):
        if pl_module.train_data.env_steps >= self.env_steps:
            self.env_steps = np.inf
            os.kill(os.getpid(), signal.SIGINT)


def curve(root):
    with (Path(root) / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def checkpoint(root):
    return torch.load(Path(root) / "checkpoints" / "last.ckpt", weights_only=True)


def test_it_is_found_by_name():
    assert registry.envs.get("torch") is Torch


@pytest.mark.parametrize("env_name", NAMES)
def test_its_environments_are_gymnasiums(env_name):
    theirs = Gymnasium().spec(GymnasiumConfig(env_name=env_name))
    assert Torch().spec(TorchConfig(env_name=env_name)) == theirs


CASES = {
    "DQN": {},
    "DQN-copies": dict(num_envs=3),
    "PPO": dict(frame="PPO", num_envs=2, env_name="Acrobot-v1"),
    "SAC": dict(frame="SAC", env_name="Pendulum-v1", max_env_steps=450),
}


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_trial_reaches_the_state_of_an_uninterrupted_one(case, tmp_path):
    whole = generated(tmp_path / "whole", **CASES[case])
    parts = generated(tmp_path / "parts", **CASES[case])
    record = sweeprl.launch(whole, view="none")
    assert (record.status, record.env_steps) == ("finished", whole["max_env_steps"])
    stopped = sweeprl.launch(parts, [StopAt(150)], view="none")
    assert stopped.status == "stopped"
    assert sweeprl.launch(parts, resume=True, view="none").status == "finished"
    assert curve(tmp_path / "parts") == curve(tmp_path / "whole")
    found, expected = checkpoint(tmp_path / "parts"), checkpoint(tmp_path / "whole")
    assert_equal(found["train_data"], expected["train_data"])
    assert_equal(found["learner"]["weights"], expected["learner"]["weights"])


def assert_equal(found, expected):
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert_equal(found[key], value)
    elif isinstance(expected, torch.Tensor):
        assert found.equal(expected)
    else:
        assert found == expected


def test_the_final_test_plays_gymnasiums_own_environment_and_films_it(tmp_path):
    config = generated(
        tmp_path, max_env_steps=60, env_config={"env_kwargs": {"sutton_barto_reward": True}}
    )
    config["test_env_config"] |= {"env_kwargs": {}, "render_every_episode": 1}
    record = sweeprl.launch(config, view="none")
    assert all(total > 0 for total in record.test_returns)  # training pays 0 a step
    assert record.score <= 0
    films = sorted(path.name for path in (tmp_path / "videos").glob("*.mp4"))
    assert films == ["evaluation-episode-0.mp4", "test-episode-0.mp4"]


def test_evaluation_and_test_play_what_the_extension_gymnasium_plays(tmp_path):
    class Pusher:
        collect_steps = None

        def act(self, states, **_):
            return np.ones(len(states), np.int64)

    config = trial(tmp_path)
    section = {"env_name": "CartPole-v1", "render_every_episode": 0}
    theirs = TrialConfig.of(
        {**config.model_dump(), "env": "gymnasium"}
        | {"train_env_config": section, "test_env_config": section}
    )
    for stage in ("evaluation", "test"):
        ours = Torch().create_dataset(Pusher(), config, stage)
        assert isinstance(ours, EvaluationDataset)
        assert isinstance(ours.copies, SingleCopy)
        other = Gymnasium().create_dataset(Pusher(), theirs, stage)
        assert [r.episodes for r in ours] == [r.episodes for r in other]


def test_settings_reach_both_implementations(tmp_path):
    settings = {"env_kwargs": {"g": 3.0}}
    config = trial(tmp_path, frame="SAC", env_name="Pendulum-v1", env_config=settings)
    assert Torch().make(config.test_env_config).unwrapped.g == 3.0
    copies = Torch().create_copies(config, "train")
    env = gym.make("Pendulum-v1", g=3.0)
    env.reset()
    copies.reset()
    env.unwrapped.state = copies._copies.state[0].numpy().copy()
    assert isinstance(copies.spec.action, Continuous)
    step = copies.step(np.full((1, 1), 0.5, np.float32))
    expected, reward, *_ = env.step(np.array([1.0], np.float32))
    np.testing.assert_allclose(step.state[0], expected, rtol=1e-6)
    assert step.reward[0] == pytest.approx(reward, rel=1e-6)


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("stage, episodes", [("train", None), ("evaluation", 4), ("test", 2)])
def test_lanes_are_tensors(stage, episodes, num_envs, tmp_path):
    config = trial(tmp_path, num_envs=num_envs, evaluation=dict(episodes=4, final_episodes=2))
    envs = Torch().create_lanes(config, [3, 4], stage, CPU)
    assert isinstance(envs, TensorLanes)
    assert (envs.num_lanes, envs.num_envs) == (2, episodes or num_envs)
    assert envs.is_judging == (stage != "train")
    assert envs.spec == dynamics("CartPole-v1", {}).spec


@pytest.mark.parametrize(
    "settings, error, match",
    [
        (
            {"env_name": "CartPol-v1"},
            UnknownNameError,
            r"No environment 'CartPol-v1' on tensors\. Did you mean 'CartPole-v1'\?",
        ),
        ({"env_name": "LunarLander-v3"}, UnknownNameError, "all others are left to Gymnasium"),
        (
            {"env_config": {"env_kwargs": {"max_episode_steps": 20}}},
            ConfigError,
            "On tensors CartPole-v1 has no setting 'max_episode_steps' in env_kwargs",
        ),
        (
            {"env_config": {"env_kwargs": {"sutton_barto_reward": 1}}},
            ConfigError,
            "'sutton_barto_reward' must be true or false, but is 1",
        ),
        (
            {"env_config": {"render_every_episode": -1}},
            ConfigError,
            r"render_every_episode: .*greater than or equal to 0",
        ),
    ],
)
def test_what_it_does_not_have_is_refused_before_anything_is_trained(
    settings, error, match, tmp_path
):
    with pytest.raises(error, match=match):
        sweeprl.launch(generated(tmp_path / "trial", **settings), view="none")
    assert not (tmp_path / "trial").exists()


def test_wrappers_are_refused(tmp_path):
    config = generated(tmp_path)
    config["train_env_config"]["wrappers"] = ["ClipReward"]
    with pytest.raises(ConfigError, match="Unknown key 'wrappers'"):
        TrialConfig.of(config)
