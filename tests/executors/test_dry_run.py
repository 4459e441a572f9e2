import gymnasium as gym
import pytest
import torch
from torch import nn

import sweeprl
from sweeprl.executors.dry_run import why_not_lanes
from sweeprl.launcher import build_frame
from sweeprl.registry import envs
from tests.executors.conftest import small_config


def why_not(config):
    extension = envs.get(config.env)()
    return why_not_lanes(build_frame(config, extension), config, extension)


class Undecided(nn.Module):
    """Its control flow depends on numbers."""

    def __init__(self, state_dim, action_num):
        super().__init__()
        self.layer = nn.Linear(state_dim, action_num)

    def forward(self, state):
        values = self.layer(state)
        return values if values.sum() > 0 else -values


class InTheLoss(nn.Module):
    """Fails under vmap in a loss only."""

    def forward(self, one, other):
        error = (one - other).square()
        return error if error.sum() > -1 else -error


@pytest.mark.parametrize("frame", ["DQN", "DQNPer", "RAINBOW", "PPO", "DDPG", "TD3", "SAC"])
@pytest.mark.parametrize("env", ["torch", "gymnasium"])
def test_the_built_in_ones_can_be_lanes(frame, env, tmp_path):
    assert why_not(small_config(tmp_path, frame, env)) is None


@pytest.mark.parametrize(
    "settings, reason",
    [
        (dict(models=[Undecided] * 2, model_kwargs=[{}] * 2), "cannot be lifted over lanes"),
        (dict(criterion=InTheLoss, updates_per_step=0.125), "data-dependent|control flow|vmap"),
        (dict(optimizer=torch.optim.LBFGS), "LBFGS must be able to step without a closure"),
    ],
)
def test_rules_that_cannot_be_lifted(settings, reason, tmp_path):
    import re

    found = why_not(small_config(tmp_path, frame_config=settings))
    assert found is not None
    assert found.startswith("its networks or losses cannot be lifted over lanes (")
    assert re.search(reason, found)
    assert "\n" not in found


def test_environments_in_processes_are_no_lanes(tmp_path):
    config = small_config(tmp_path, env="gymnasium", num_envs=2, vectorization="async")
    assert "vectorization async" in why_not(config)


class Singleton(gym.Wrapper):
    """Only one of it may live."""

    alive = 0

    def __init__(self, env):
        super().__init__(env)
        if Singleton.alive:
            raise RuntimeError("there is one already")
        Singleton.alive += 1

    def close(self):
        Singleton.alive -= 1


class Jealous(gym.Wrapper):
    """Raises where another one was reset before."""

    latest = None

    def reset(self, **kwargs):
        type(self).latest = self
        return self.env.reset(**kwargs)

    def step(self, action):
        if type(self).latest is not self:
            raise RuntimeError("another one is played with")
        return self.env.step(action)


@pytest.mark.parametrize(
    "wrapper, message", [(Singleton, "there is one already"), (Jealous, "another one")]
)
def test_environments_that_cannot_live_side_by_side(wrapper, message, tmp_path):
    plain = small_config(tmp_path, env="gymnasium").to_dict()
    plain["train_env_config"]["wrappers"] = [f"{__name__}.{wrapper.__name__}"]
    found = why_not(sweeprl.TrialConfig.of(plain))
    assert found.startswith("two copies of the environment cannot live side by side (")
    assert message in found
    assert Singleton.alive == 0


def test_what_acting_refuses_is_found_before_training(tmp_path):
    plain = small_config(tmp_path).to_dict()
    plain["train_env_config"]["act_kwargs"] = {"epsilon": "often"}
    assert "cannot be lifted" in why_not(sweeprl.TrialConfig.of(plain))


class Counting(nn.Module):
    def __init__(self, state_dim, action_num):
        super().__init__()
        self.layer = nn.Linear(state_dim, action_num)
        self.calls = 0

    def forward(self, state):
        self.calls += 1
        return self.layer(state) * self.calls


def test_a_network_with_a_memory_of_its_own_is_no_lane(tmp_path):
    kwargs = dict(models=[Counting, Counting], model_kwargs=[{}, {}])
    reason = why_not(small_config(tmp_path, frame_config=kwargs))
    assert reason == "Counting keeps state between calls, or draws numbers that are not torch's"


def test_native_environments_are_no_lanes_where_observations_are_normalized(tmp_path):
    settings = dict(vectorization="native", frame_config=dict(normalize_observation=True))
    assert "native environment" in why_not(small_config(tmp_path, **settings))
