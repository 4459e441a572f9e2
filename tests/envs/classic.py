"""Gymnasium's classic control beside the tensors': the same states, the same actions."""

from __future__ import annotations

from typing import NamedTuple

import gymnasium as gym
import numpy as np
import torch

from sweeprl.envs._dynamics import dynamics
from sweeprl.envs._spaces import ActionAdapter

NAMES = ["Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"]


SYNC_STEPS = 20
"""After how many steps the tensors go on from Gymnasium's states.

The two differ in the last bits of some cosines; Acrobot is chaotic and a balanced pole unstable. In
a thousand episodes of each, differences grew up to 20,000 times within 20 steps, to 1e-10 that is;
over a whole episode some would grow without bound.
"""


class Outcome(NamedTuple):
    """What a step of Gymnasium led to."""

    state: np.ndarray
    observation: np.ndarray
    reward: float
    terminated: bool
    truncated: bool


class Reference:
    """Gymnasium's environment, which takes the tensors' states and the frames' actions."""

    def __init__(self, name, **env_kwargs):
        self.env = gym.make(name, disable_env_checker=True, **env_kwargs)
        self._adapt = ActionAdapter(self.env.action_space, name)
        self._has_flag = name == "MountainCarContinuous-v0"

    def reset(self, seed) -> tuple[np.ndarray, np.ndarray]:
        """Begins an episode as Gymnasium does; returns its state and observation."""
        observation, _ = self.env.reset(seed=seed)
        return self.state(), observation

    def begin(self, state) -> None:
        """Begins an episode in a state `(S,)` of the tensors'."""
        self.env.reset()
        state = state.numpy().copy()
        if self._has_flag:
            state = state[:2].astype(np.float32 if state[2] else np.float64)
        self.env.unwrapped.state = state

    def state(self) -> np.ndarray:
        """The state `(S,)`, as the tensors hold it."""
        state = self.env.unwrapped.state
        numbers = np.asarray(state, np.float64)
        return np.append(numbers, state.dtype == np.float32) if self._has_flag else numbers

    def step(self, action) -> Outcome:
        adapted = self._adapt(np.asarray(action)[None])[0]
        observation, *rest, _ = self.env.step(adapted)
        return Outcome(self.state(), observation, *rest)


def random_actions(name, num, rng):
    """Returns actions `(num,)` or `(num, A)` of a frame; a fifth of the reals are clipped."""
    action = dynamics(name, {}).spec.action
    if hasattr(action, "num"):
        return torch.from_numpy(rng.integers(action.num, size=num))
    return torch.from_numpy(rng.uniform(-1.25, 1.25, (num, action.size)).astype(np.float32))


def skilled_actions(name, observation):
    """Returns actions that balance CartPole's pole, and reach the goals of all that have one.

    Args:
        name: of the environment.
        observation: `(N, D)`.
    """
    if name == "CartPole-v1":
        gains = torch.tensor([0.05, 0.1, 1.0, 0.3])
        return (observation @ gains > 0).long()
    if name == "Acrobot-v1":  # pulls its first link back
        return (observation[:, 4] < 0).long() * 2
    velocity = observation[:, -1]
    if name == "MountainCar-v0":
        return (velocity > 0).long() * 2
    return velocity.sign().unsqueeze(1)
