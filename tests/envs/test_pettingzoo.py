"""Environments of several agents as one environment."""

import sys

import numpy as np
import pytest

import sweeprl
from sweeprl.config import AgentSpec, Continuous, Discrete, EnvSpec, MultiDiscrete, TrialConfig
from sweeprl.engine import Learner
from sweeprl.envs import RLDataset
from sweeprl.envs.pettingzoo import PettingZoo, PettingZooConfig
from sweeprl.errors import (
    ConfigError,
    EnvironmentRaised,
    MissingDependencyError,
    UnknownNameError,
    UnsupportedSpaceError,
)
from sweeprl.frames.maddpg import MADDPG

HERE = "tests.envs.parallel"
SPREAD = "mpe2.simple_spread_v3"


def section(name=HERE, **env_kwargs):
    return PettingZooConfig(env_name=name, env_kwargs=env_kwargs, render_every_episode=0)


def made(name=HERE, **env_kwargs):
    return PettingZoo().make(section(name, **env_kwargs))


def trial(tmp_path, frame="MADDPG", env_name=HERE, env_kwargs=(), frame_config=(), **settings):
    config = sweeprl.generate_algorithm_config(frame)
    small = dict(batch_size=8, warmup_steps=10, replay_size=200, updates_per_step=0.125)
    small = small if "warmup_steps" in config["frame_config"] else dict(rollout_steps=30)
    networks = [{"hidden": [8]} for _ in config["frame_config"]["models"]]
    config["frame_config"] |= {"model_kwargs": networks, **small, **dict(frame_config)}
    config = sweeprl.generate_env_config(
        "pettingzoo",
        config,
        env_name=env_name,
        env_kwargs=dict(env_kwargs),
        render_every_episode=0,
    )
    defaults = dict(
        root_dir=str(tmp_path / "trial"),
        max_env_steps=60,
        report_every_env_steps=20,
        evaluation=dict(episodes=1, every_env_steps=None, final_episodes=1),
        logger=["csv"],
        gpus=None,
    )
    config = sweeprl.generate_training_config(config=config, **{**defaults, **settings})
    return TrialConfig.of(config)


# ---- spaces


def test_agents_are_joined_and_told_apart():
    assert PettingZoo().spec(section()) == EnvSpec(
        4,
        MultiDiscrete((3, 2)),
        HERE,
        (AgentSpec("left", 3, Discrete(3)), AgentSpec("right", 1, Discrete(2))),
    )
    assert PettingZoo().spec(section(kind="continuous")) == EnvSpec(
        4,
        Continuous(3),
        HERE,
        (AgentSpec("left", 3, Continuous(2)), AgentSpec("right", 1, Continuous(1))),
    )


@pytest.mark.parametrize(
    "kind, action, rewards",
    [
        ("discrete", [[2, 1]], [2.0, 2.0]),  # the second counts from 1
        ("continuous", [[-1.0, 0.5, 0.5]], [0.0 + 3.0, 0.5]),  # the first spans 0 to 4
    ],
)
@pytest.mark.parametrize("num_envs", [1, 2])
def test_each_agent_does_its_part_and_is_paid_its_own(kind, action, rewards, num_envs, tmp_path):
    config = trial(tmp_path, env_kwargs=dict(kind=kind), num_envs=num_envs)
    copies = PettingZoo().create_copies(config, "train")
    first = copies.reset()
    assert first.shape == (num_envs, 4)
    assert first[0, 2:].tolist() == [0, 0]
    step = copies.step(np.array(action * num_envs))
    assert step.state[0, 2:].tolist() == [1, 1]
    assert step.agent_rewards.tolist() == [rewards] * num_envs
    assert step.reward.tolist() == [sum(rewards)] * num_envs
    copies.close()


@pytest.mark.parametrize("terminates", [False, True])
def test_an_episode_ends_for_all(terminates):
    env = made(terminates=terminates)
    env.reset(seed=0)
    ends = [env.step(np.array([0, 1]))[2:4] for _ in range(3)]
    assert ends == [(False, False)] * 2 + [(terminates, not terminates)]


@pytest.mark.parametrize("continuous_actions", [False, True])
def test_a_seed_decides_an_episode(continuous_actions):
    env = made(SPREAD, continuous_actions=continuous_actions, max_cycles=4)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(4)]

    def played(seed):
        steps = [env.reset(seed=seed)[0], *[env.step(action)[0] for action in actions]]
        return np.stack(steps)

    one, same, other = played(3), played(3), played(4)
    np.testing.assert_array_equal(one, same)
    assert (one[0] != other[0]).any()
    env.close()


# ---- what is refused


@pytest.mark.parametrize(
    "name, env_kwargs, error, message",
    [
        (HERE, dict(kind="mixture"), UnsupportedSpaceError, r"all have .* left: Discrete\(3\), r"),
        (HERE, dict(kind="several"), UnsupportedSpaceError, "must all have Discrete actions or"),
        ("mpe2.simple_spred_v3", {}, UnknownNameError, "Did you mean 'mpe2.simple_spread_v3'"),
        ("mpe3.simple_spread_v3", {}, UnknownNameError, "No package 'mpe3'.*Did you mean 'mpe2'"),
        ("mpe2", {}, ConfigError, "mpe2 must have a function or class `parallel_env`"),
        (SPREAD, dict(M=3), ConfigError, "must be buildable with env_kwargs .*unexpected keyword"),
    ],
)
def test_what_cannot_be_joined_or_found_is_refused(name, env_kwargs, error, message):
    with pytest.raises(error, match=message):
        made(name, **env_kwargs)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "mpe2"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(MissingDependencyError, match=r"pip install 'sweeprl\[pettingzoo\]'"):
        made(SPREAD)


class Missing:
    """A finder of modules that does as if mpe2 were not there."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "mpe2":
            raise ModuleNotFoundError("No module named 'mpe2'", name="mpe2")
        return None


def test_agents_that_leave_in_the_middle_end_the_trial(tmp_path):
    with pytest.raises(EnvironmentRaised, match="in the middle of an episode right had left"):
        sweeprl.launch(trial(tmp_path, env_kwargs=dict(leaves_at=2)), view="none")


# ---- with frames


def test_rewards_of_each_agent_reach_the_learner(tmp_path):
    config = trial(tmp_path, env_kwargs=dict(kind="continuous"), num_envs=2)
    copies = PettingZoo().create_copies(config, "train")
    learner = Learner([MADDPG(config.frame_config, copies.spec)], [0], num_envs=2)
    chunk = RLDataset(copies, learner).collect(5).transitions
    assert chunk["agent_rewards"].shape == (5, 2, 2)
    np.testing.assert_allclose(chunk["agent_rewards"].sum(-1), chunk["reward"], rtol=1e-5)
    learner.store(chunk)
    rows = learner.state_dict()["replay"]["rows"]
    np.testing.assert_array_equal(rows[:, 7:9], chunk["agent_rewards"].reshape(10, 2))
    copies.close()


def test_any_frame_that_serves_the_joint_action_may_control_all_agents(tmp_path):
    config = trial(tmp_path, "PPO", frame_config=dict(batch_size=10))
    record = sweeprl.launch(config, view="none")
    assert (record.status, record.env_steps) == ("finished", 60)


def test_an_ensemble_is_trained_and_filmed(tmp_path):
    plain = trial(tmp_path, frame_config=dict(sub_policy_num=1)).to_dict()
    plain["test_env_config"]["render_every_episode"] = 1
    record = sweeprl.launch(plain, view="none")
    assert (record.status, record.updates) == ("finished", 6)
    assert list((tmp_path / "trial" / "videos").glob("*.mp4"))
