from __future__ import annotations

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import acrobot

from sweeprl.envs._dynamics import dynamics
from sweeprl.envs._dynamics.acrobot import wrapped
from sweeprl.envs._spaces import describe
from sweeprl.errors import ConfigError, UnknownNameError
from tests.envs.classic import NAMES, SYNC_STEPS, Reference, random_actions, skilled_actions

NUM = 3000
REACHABLE = {
    "Acrobot-v1": [math.pi, math.pi, 4 * math.pi, 9 * math.pi],
    "CartPole-v1": [2.5, 3.0, 0.25, 3.5],
    "MountainCar-v0": [1.2, 0.07],
    "MountainCarContinuous-v0": [1.2, 0.07],
    "Pendulum-v1": [8 * math.pi, 8.0],
}
"""Absolute bounds of every number of a state."""
VARIANTS = [
    *((name, {}) for name in NAMES),
    ("CartPole-v1", {"sutton_barto_reward": True}),
    ("MountainCar-v0", {"goal_velocity": 0.03}),
    ("MountainCarContinuous-v0", {"goal_velocity": 0.03}),
    ("Pendulum-v1", {"g": 9.81}),
]


def random_states(name, rng):
    """States `(NUM, S)`, a sixth of their numbers at the bounds that they are clipped to."""
    bounds = np.array(REACHABLE[name])
    states = rng.uniform(-1.2, 1.2, (NUM, len(bounds))) * bounds
    if name != "CartPole-v1":
        states = states.clip(-bounds, bounds)
    if name.startswith("MountainCar"):
        states[:, 0] = states[:, 0].clip(max=0.6)
    if name == "MountainCarContinuous-v0":
        states = np.c_[states.astype(np.float32), np.ones(NUM)]
    return torch.from_numpy(states)


def initial_states(kind, num, rng):
    return kind.initial(torch.from_numpy(rng.random((num, kind.initial_numbers), np.float32)))


def check_transitions(name, env_kwargs, states, rng):
    """Steps are Gymnasium's, but for the last bits of sines and cosines: 1e-12 is some of them."""
    kind, reference = dynamics(name, env_kwargs), Reference(name, **env_kwargs)
    actions = random_actions(name, len(states), rng)
    found, reward, terminated = kind.step(states, actions)
    outcomes = []
    for state, action in zip(states, actions, strict=True):
        reference.begin(state)
        outcomes.append(reference.step(action))
    expected = [np.array(column) for column in zip(*outcomes, strict=True)]
    np.testing.assert_allclose(found, expected[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(kind.observe(found), expected[1], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(reward, expected[2].astype(np.float32), rtol=1e-6)
    np.testing.assert_array_equal(terminated, expected[3])
    kinds = found.dtype, reward.dtype, terminated.dtype
    assert kinds == (torch.float64, torch.float32, torch.bool)


@pytest.mark.parametrize("name, env_kwargs", VARIANTS, ids=str)
def test_transitions_are_gymnasiums(name, env_kwargs):
    rng = np.random.default_rng(1)
    check_transitions(name, env_kwargs, random_states(name, rng), rng)


@pytest.mark.parametrize("name", NAMES)
def test_first_transitions_are_gymnasiums(name):
    rng = np.random.default_rng(2)
    check_transitions(name, {}, initial_states(dynamics(name, {}), 1000, rng), rng)


@pytest.mark.parametrize("is_skilled", [False, True], ids=["random", "skilled"])
@pytest.mark.parametrize("name", NAMES)
def test_whole_episodes_are_gymnasiums(name, is_skilled):
    num, rng = 3, np.random.default_rng(3)
    kind, references = dynamics(name, {}), [Reference(name) for _ in range(num)]
    states = initial_states(kind, num, rng)
    for reference, state in zip(references, states, strict=True):
        reference.begin(state)
    running, num_terminated = set(range(num)), 0
    for step in range(kind.max_episode_steps):
        seen = kind.observe(states)
        actions = skilled_actions(name, seen) if is_skilled else random_actions(name, num, rng)
        states, rewards, terminated = kind.step(states, actions)
        for one in list(running):
            outcome = references[one].step(actions[one])
            np.testing.assert_allclose(states[one], outcome.state, rtol=0, atol=1e-9)
            assert rewards[one].item() == pytest.approx(float(outcome.reward), rel=1e-6)
            assert terminated[one] == outcome.terminated
            if outcome.terminated or outcome.truncated:
                running.remove(one)
                num_terminated += outcome.terminated
            elif step % SYNC_STEPS == 0:
                states[one] = torch.from_numpy(outcome.state)
    assert not running
    if is_skilled:
        has_goal = name in ("Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0")
        assert num_terminated == num * has_goal


def test_acrobots_angles_are_wrapped_as_by_gymnasiums_loop():
    angles = np.linspace(-300, 300, 20_001)
    edges = np.array([-math.pi, math.pi, np.nextafter(math.pi, 4), np.nextafter(-math.pi, -4)])
    angles = np.concatenate((angles, edges))
    looped = [acrobot.wrap(angle, -math.pi, math.pi) for angle in angles]
    np.testing.assert_allclose(wrapped(torch.from_numpy(angles)), looped, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_facts_are_gymnasiums(name):
    kind = dynamics(name, {})
    assert kind.spec == describe(gym.make(name), name)
    assert kind.max_episode_steps == gym.spec(name).max_episode_steps


@pytest.mark.parametrize("name", NAMES)
def test_initial_states_are_distributed_as_gymnasiums(name):
    """Kolmogorov and Smirnov's test of two samples, at a level of 0.1 %."""
    num, rng = 2000, np.random.default_rng(4)
    reference = Reference(name)
    expected = np.array([reference.reset(seed)[0] for seed in range(num)])
    found = initial_states(dynamics(name, {}), num, rng).numpy()
    assert found.shape == expected.shape
    for ours, theirs in zip(found.T, expected.T, strict=True):
        places = np.concatenate((ours, theirs))
        below = [np.searchsorted(np.sort(one), places, "right") / num for one in (ours, theirs)]
        assert np.abs(below[0] - below[1]).max() < 1.95 * math.sqrt(2 / num)


@pytest.mark.parametrize(
    "name, lowest, highest",
    [
        ("Acrobot-v1", [-0.1] * 4, [0.1] * 4),
        ("CartPole-v1", [-0.05] * 4, [0.05] * 4),
        ("MountainCar-v0", [-0.6, 0], [-0.4, 0]),
        ("MountainCarContinuous-v0", [-0.6, 0, 0], [-0.4, 0, 0]),
        ("Pendulum-v1", [-math.pi, -1], [math.pi, 1]),
    ],
)
def test_initial_states_reach_from_bound_to_bound(name, lowest, highest):
    kind = dynamics(name, {})
    uniform = torch.tensor([0.0, 1 - 2**-24]).unsqueeze(1).expand(2, kind.initial_numbers)
    bounds = torch.tensor([lowest, highest], dtype=torch.float64)
    torch.testing.assert_close(kind.initial(uniform), bounds, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_first_observations_are_gymnasiums(name):
    reference = Reference(name)
    states, observations = zip(*(reference.reset(seed) for seed in range(500)), strict=True)
    found = dynamics(name, {}).observe(torch.from_numpy(np.array(states)))
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, observations, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_many_copies_are_one_by_one(name):
    rng = np.random.default_rng(5)
    kind, states = dynamics(name, {}), random_states(name, rng)
    actions = random_actions(name, NUM, rng)
    together = kind.step(states, actions)
    for row in range(0, NUM, 50):
        rows = slice(row, row + 1)
        alone = kind.step(states[rows], actions[rows])
        for one, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(one, all_of_them[rows], rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_states_and_actions_are_left_as_they_are(name):
    rng = np.random.default_rng(6)
    kind, states = dynamics(name, {}), random_states(name, rng)
    actions = random_actions(name, NUM, rng)
    before = states.clone(), actions.clone()
    kind.step(states, actions)
    kind.observe(states).fill_(7)
    assert states.equal(before[0])
    assert actions.equal(before[1])


@pytest.mark.parametrize(
    "name, message",
    [
        ("CartPole-v2", r"No environment 'CartPole-v2' on tensors\. Did you mean 'CartPole-v1'\?"),
        (
            "Ant-v5",
            r"'Ant-v5' on tensors\. Known: Acrobot-v1, .*-v1; all others are left to",
        ),
    ],
)
def test_other_environments_are_refused(name, message):
    with pytest.raises(UnknownNameError, match=message):
        dynamics(name, {})


@pytest.mark.parametrize(
    "name, env_kwargs, message",
    [
        ("Pendulum-v1", {"G": 9.8}, r"'G' in env_kwargs\. Did you mean 'g'\? It takes: g\."),
        ("Acrobot-v1", {"g": 9.8}, r"Acrobot-v1 has no setting 'g' .* It takes: none\."),
        (
            "MountainCar-v0",
            {"goal_velocty": 1},
            r"Did you mean 'goal_velocity'\? It takes: ",
        ),
        ("Pendulum-v1", {"g": "9.8"}, r"'g' must be a finite number, but is '9\.8'\. Left out, "),
        ("Pendulum-v1", {"g": math.nan}, r"'g' must be a finite number, but is nan\."),
        ("MountainCar-v0", {"goal_velocity": True}, r"must be a finite number, but is True\."),
        ("CartPole-v1", {"sutton_barto_reward": 1}, r"must be true or false, but is 1\."),
    ],
)
def test_other_settings_are_refused(name, env_kwargs, message):
    with pytest.raises(ConfigError, match=message):
        dynamics(name, env_kwargs)
