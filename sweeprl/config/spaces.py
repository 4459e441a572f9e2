"""The facts about an environment that a frame, a network or a replay buffer needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from typing_extensions import NotRequired, TypedDict

__all__ = [
    "ActionSpec",
    "AgentSpec",
    "Continuous",
    "Discrete",
    "EnvSpec",
    "MultiDiscrete",
    "Transitions",
]


@dataclass(frozen=True)
class Discrete:
    """One of `num` actions, numbered from 0."""

    num: int
    size: int = 1
    """How many numbers say which action it is."""

    @property
    def num_outputs(self) -> int:
        """How many numbers a policy network has to return for it: a score for each action."""
        return self.num


@dataclass(frozen=True)
class MultiDiscrete:
    """Several independent choices; component `i` is one of `nums[i]`."""

    nums: tuple[int, ...]

    @property
    def size(self) -> int:
        """How many numbers say which action it is."""
        return len(self.nums)

    @property
    def num_outputs(self) -> int:
        """How many numbers a policy network has to return for it: a score for each choice."""
        return sum(self.nums)


@dataclass(frozen=True)
class Continuous:
    """A vector of `size` reals; frames act in [-1, 1], the environment layer rescales."""

    size: int

    @property
    def num_outputs(self) -> int:
        """How many numbers a policy network has to return for it: the action itself."""
        return self.size


ActionSpec = Discrete | MultiDiscrete | Continuous


@dataclass(frozen=True)
class AgentSpec:
    """One of the agents of an environment: its part of the observation and of the action.

    Args:
        name: what the environment calls it.
        observation_size: length of its own flattened observation.
        action: its own action space.
    """

    name: str
    observation_size: int
    action: Discrete | Continuous


@dataclass(frozen=True)
class EnvSpec:
    """What a frame knows of an environment.

    Args:
        observation_size: length D of the flattened observation.
        action: the action space.
        name: how messages call the environment.
        agents: those whose observations and actions, one after the other, are the observation and
            the action; empty where there is one agent only.
    """

    observation_size: int
    action: ActionSpec
    name: str = "the environment"
    agents: tuple[AgentSpec, ...] = ()


class Transitions(TypedDict):
    """A chunk of experience; T time steps of N = lanes * num_envs environments, lane after lane.

    `state[t]` and `action[t]` led to `reward[t]` and `next_state[t]`; where an episode ended,
    `next_state[t]` is its true last observation, and `state[t + 1]` belongs to the next episode.
    """

    state: NDArray[np.float32]
    """`(T, N, D)`"""
    action: NDArray[np.float32]
    """`(T, N, A)`, as the agent chose it"""
    reward: NDArray[np.float32]
    """`(T, N)`"""
    next_state: NDArray[np.float32]
    """`(T, N, D)`"""
    agent_rewards: NotRequired[NDArray[np.float32]]
    """`(T, N, M)`, the reward of each of M agents; `reward` is their sum"""
    terminated: NDArray[np.float32]
    """`(T, N)`, 1 where the environment reached a terminal state: no return follows"""
    truncated: NDArray[np.float32]
    """`(T, N)`, 1 where the episode was cut short: the bootstrap survives"""
    weight: NDArray[np.float32]
    """`(T, N)`, 0 for rows that are no transition (a reset, or beyond the budget)"""
