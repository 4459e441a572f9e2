"""The environments of L agents that are trained in lock-step, E for each, stepped together.

Unlike `Copies`, which serve one agent to the step, they are asked for whole chunks: what belongs to
whom is sorted out afterwards, in one go for all lanes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sweeprl.config import EnvSpec
from sweeprl.envs._dataset import Actor
from sweeprl.errors import EnvironmentRaised

__all__ = ["LaneAgents", "LaneChunk", "LaneEnvs", "chunk_of", "episode_of"]


class LaneAgents(Actor, Protocol):
    """What environments of lanes need of a learner; it acts for `(L * E, D)`, lane after lane."""

    def act_on(
        self,
        state: Tensor,
        noise: Tensor,
        step: Tensor,
        act_kwargs: Mapping[str, Any],
        begins: Tensor | None = None,
    ) -> Tensor:
        """Chooses actions for observations `(L, E, D)` on the learner's device.

        An episode begins where `begins`, `(L, E)`; None is nowhere.
        """

    def action_noise(
        self, num_envs: int, is_judged: bool = False, act_kwargs: Mapping[str, Any] | None = None
    ) -> Tensor:
        """Draws the numbers that acting once needs, `(L, num_envs, K)`."""

    @property
    def env_steps(self) -> NDArray[np.int64]:
        """Environment steps that each lane has stored, `(L,)`."""


@dataclass
class LaneChunk:
    """T steps of N = L * E environments; arrays on the CPU, or tensors where the agents learn."""

    state: Any
    """`(T, N, D)`"""
    action: Any
    """`(T, N, A)`"""
    reward: Any
    """`(T, N)`"""
    next_state: Any
    """`(T, N, D)`; where an episode ended, its last observation"""
    terminated: Any
    """`(T, N)`"""
    truncated: Any
    """`(T, N)`"""
    gain: NDArray[np.float32]
    """The rewards on the CPU, `(T, N)`"""
    over: NDArray[np.bool_]
    """`(T, N)`, where an episode ended"""
    valid: NDArray[np.bool_]
    """`(T, N)`, False where an environment only started a new episode, or could not be stepped"""
    agent_rewards: Any = None
    """`(T, N, M)`, of each agent; None where there is only one"""


def chunk_of(steps: Sequence[tuple[NDArray[Any], ...]]) -> LaneChunk:
    """Joins steps of arrays.

    They are state, action, reward, next state, terminated, truncated, valid, and the rewards of
    agents where there are several.
    """
    columns = (np.stack(column) for column in zip(*steps, strict=True))
    state, action, reward, next_state, terminated, truncated, valid, *rest = columns
    over = terminated | truncated
    action = action.astype(np.float32)
    ends = (terminated, truncated, reward, over, valid)
    return LaneChunk(state, action, reward, next_state, *ends, *rest)


class LaneEnvs(ABC):
    """E environments for each of L agents.

    Args:
        spec: what they are.
        seeds: of each lane, from which the seeds of its episodes are derived.
        num_envs: E.
        is_judging: whether environment e of a lane plays episode e of its first copy, once, as an
            evaluation of one agent does one after the other.
    """

    def __init__(
        self, spec: EnvSpec, seeds: Sequence[int], num_envs: int, is_judging: bool
    ) -> None:
        self.spec, self.num_envs, self.is_judging = spec, num_envs, is_judging
        self.seeds = list(seeds)
        self.faults: dict[int, EnvironmentRaised] = {}
        """Why a lane's environments cannot go on, by lane."""

    @property
    def num_lanes(self) -> int:
        """L."""
        return len(self.seeds)

    @abstractmethod
    def collect(
        self, agents: LaneAgents, num_steps: int, act_kwargs: Mapping[str, Any]
    ) -> LaneChunk:
        """Plays `num_steps` steps in every environment, episode after episode.

        Returns:
            What happened; it may be overwritten by the next call.
        """

    @abstractmethod
    def play_once(self, agents: LaneAgents, act_kwargs: Mapping[str, Any]) -> NDArray[np.float64]:
        """Plays one episode in every environment; returns its undiscounted return, `(L, E)`."""

    @abstractmethod
    def begin(self, lane: int, seed: int) -> None:
        """Gives a lane fresh environments, whose first episodes begin with the next chunk."""

    @abstractmethod
    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only, in that order."""

    @abstractmethod
    def state_dict(self, lane: int) -> dict[str, Any]:
        """Returns a lane's `copies`, `state` and `over`, as the dataset of a single agent does."""

    @abstractmethod
    def load_state_dict(self, lane: int, state: Mapping[str, Any]) -> bool:
        """Goes on where `state` was taken; returns whether it could."""

    @abstractmethod
    def close(self) -> None:
        """Frees what the environments hold."""


def episode_of(is_judging: bool, env: int, episode: int) -> tuple[int, int]:
    """Returns number of copy and episode that decide an episode's seed.

    Args:
        is_judging: see `LaneEnvs`.
        env: number of the environment in its lane.
        episode: how many it has played.
    """
    return (0, env + episode) if is_judging else (env, episode)
