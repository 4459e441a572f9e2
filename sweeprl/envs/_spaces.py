"""From Gymnasium's spaces to what frames need, and from their actions to the environment's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from sweeprl.config import ActionSpec, AgentSpec, Continuous, Discrete, EnvSpec, MultiDiscrete
from sweeprl.errors import UnsupportedSpaceError

__all__ = [
    "ActionAdapter",
    "agents_of",
    "describe",
    "flatten_observations",
    "rewards_of_agents",
]


def flatten_observations(env: gym.Env[Any, Any]) -> gym.Env[Any, Any]:
    """Wraps `env` so that its observations are vectors; a vector stays as it is.

    Raises:
        UnsupportedSpaceError: the observation space has no fixed length.
    """
    space = env.observation_space
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return env
    if not space.is_np_flattenable:
        raise UnsupportedSpaceError(
            f"Observations must have a fixed length, but those of {space} have none. "
            "Wrap the environment."
        )
    return gym.wrappers.FlattenObservation(env)


class ActionAdapter:
    """Turns what a frame chose into what the environment takes.

    Reals in [-1, 1] are clipped and rescaled to the bounds of each component; a component without
    two finite bounds is passed as it is, clipped to the one it has.

    Args:
        space: of one environment.
        name: how messages call the environment.

    Raises:
        UnsupportedSpaceError: the space is none of Discrete, MultiDiscrete and Box.
    """

    def __init__(self, space: spaces.Space[Any], name: str) -> None:
        self.spec = _action_spec(space, name)
        self._space: Any = space
        if isinstance(space, spaces.Box):
            self._set_bounds(space)
        else:
            self._start = space.start  # type: ignore[attr-defined]
            self._dtype = space.dtype

    def _set_bounds(self, space: spaces.Box) -> None:
        low, high = space.low.reshape(-1), space.high.reshape(-1)
        bounded = np.isfinite(low) & np.isfinite(high)
        self._low = np.where(bounded, -1.0, low).astype(np.float32)
        self._high = np.where(bounded, 1.0, high).astype(np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            self._centre = np.where(bounded, (low + high) / 2, 0.0).astype(np.float32)
            self._scale = np.where(bounded, (high - low) / 2, 1.0).astype(np.float32)
        self._shape, self._dtype = space.shape, space.dtype

    def __call__(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Turns actions of N environments, `(N, ...)`, into theirs."""
        if isinstance(self.spec, Continuous):
            bounded = np.minimum(np.maximum(actions, self._low), self._high)
            scaled = bounded * self._scale + self._centre
            adapted: NDArray[Any] = scaled.reshape(-1, *self._shape)
        else:
            adapted = actions + self._start
        return adapted.astype(self._dtype, copy=False)


def _action_spec(space: spaces.Space[Any], name: str) -> ActionSpec:
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return MultiDiscrete(tuple(int(num) for num in space.nvec))
    if isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating):
        return Continuous(int(np.prod(space.shape)))
    raise UnsupportedSpaceError(
        f"The action space of {name} must be Discrete, MultiDiscrete or a Box of reals, but is "
        f"{space}. Wrap the environment, with gymnasium.wrappers.TransformAction for example."
    )


def describe(env: gym.Env[Any, Any], name: str) -> EnvSpec:
    """Returns what a frame needs to know of an environment whose observations are vectors."""
    (size,) = env.observation_space.shape  # type: ignore[misc]
    return EnvSpec(size, _action_spec(env.action_space, name), name, agents_of(env))


def agents_of(env: Any) -> tuple[AgentSpec, ...]:
    """Returns the agents that an environment, or a vector of them, tells apart: metadata "agents".

    Metadata is what wrappers, vectors and environments in other processes all hand on.
    """
    return tuple((env.metadata or {}).get("agents", ()))


def rewards_of_agents(
    info: Mapping[str, Any], spec: EnvSpec, shape: tuple[int, ...]
) -> NDArray[np.float32] | None:
    """Returns what a step's info holds as "agent_rewards", `(*shape, M)`; None for one agent."""
    if not spec.agents:
        return None
    return np.asarray(info["agent_rewards"], np.float32).reshape(*shape, len(spec.agents))
