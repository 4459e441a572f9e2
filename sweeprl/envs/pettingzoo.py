"""Environments of several agents: PettingZoo's parallel environments, as one environment each."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import Field

from sweeprl.config import AgentSpec, Continuous, Discrete, EnvConfig
from sweeprl.envs._extension import EnvExtension
from sweeprl.errors import (
    ConfigError,
    EnvironmentRaised,
    MissingDependencyError,
    UnknownNameError,
    UnsupportedSpaceError,
    did_you_mean,
)

__all__ = ["PettingZoo", "PettingZooConfig"]


class PettingZooConfig(EnvConfig):
    """Which environment, and how it is built."""

    env_name: str = "mpe2.simple_spread_v3"
    """Importable name of the module whose `parallel_env` builds it."""
    env_kwargs: dict[str, Any] = {}
    """Keyword arguments of `parallel_env`."""
    render_every_episode: Annotated[int | None, Field(ge=0)] = 100
    """Every how many episodes a video is written under `root_dir`; 0 or null is never."""


class PettingZoo(EnvExtension):
    """PettingZoo's parallel environments, whose agents act together."""

    Config = PettingZooConfig

    def name(self, config: PettingZooConfig) -> str:
        """The module's name."""
        return config.env_name

    def make(self, config: PettingZooConfig, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """Builds the environment and joins its agents."""
        env = _built(config, {})
        if render_mode is not None and render_mode in env.metadata.get("render_modes", ()):
            env.close()
            env = _built(config, {"render_mode": render_mode})
        return _Joint(env, config.env_name)


class _Joint(gym.Env[Any, Any]):
    """A parallel environment whose agents are one.

    Observations and actions of the agents stand one after the other, the reward is the sum of
    theirs, and an episode ends for all of them at once. `info["agent_rewards"]` holds the rewards
    of each.

    Args:
        env: a parallel environment.
        name: how messages call it.

    Raises:
        UnsupportedSpaceError: the agents' actions are neither all discrete nor all vectors of
            reals, or an observation has no fixed length.
    """

    def __init__(self, env: Any, name: str) -> None:
        self._env, self._name = env, name
        self._agents: list[str] = list(env.possible_agents)
        self._observed = {agent: env.observation_space(agent) for agent in self._agents}
        self._acts = {agent: env.action_space(agent) for agent in self._agents}
        self.observation_space = self._joint_observation()
        self.action_space = self._joint_action()
        self.metadata = {**env.metadata, "agents": self._specs()}
        self.render_mode = env.render_mode

    def _joint_observation(self) -> spaces.Box:
        for agent, space in self._observed.items():
            if not space.is_np_flattenable:
                raise UnsupportedSpaceError(
                    f"Observations must have a fixed length, but those of {agent} in {self._name} "
                    f"are {space}. Wrap the environment."
                )
        flat: list[Any] = [spaces.flatten_space(space) for space in self._observed.values()]
        return _joint_box(flat)

    def _joint_action(self) -> spaces.MultiDiscrete | spaces.Box:
        all_acts: list[Any] = list(self._acts.values())
        if all(isinstance(space, spaces.Discrete) for space in all_acts):
            starts = [int(space.start) for space in all_acts]
            return spaces.MultiDiscrete([int(space.n) for space in all_acts], start=starts)
        if all(isinstance(s, spaces.Box) and np.issubdtype(s.dtype, np.floating) for s in all_acts):
            return _joint_box(all_acts)
        found = ", ".join(f"{agent}: {space}" for agent, space in self._acts.items())
        raise UnsupportedSpaceError(
            f"The agents of {self._name} must all have Discrete actions or all a Box of reals, but "
            f"have {found}. Set env_kwargs, or wrap the environment, so that they are of one kind."
        )

    def _specs(self) -> tuple[AgentSpec, ...]:
        return tuple(
            AgentSpec(agent, spaces.flatdim(self._observed[agent]), _action_spec(space))
            for agent, space in self._acts.items()
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins an episode with all agents."""
        super().reset(seed=seed)
        observations, _ = self._env.reset(seed=seed, options=options)
        self._check_present("at the start of an episode")
        return self._joined(observations), {}

    def step(
        self, action: NDArray[Any]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Lets all agents act."""
        observations, rewards, terminations, _, _ = self._env.step(self._split(action))
        is_over = not self._env.agents
        if not is_over:
            self._check_present("in the middle of an episode")
        terminated = is_over and all(terminations[agent] for agent in self._agents)
        own = np.array([rewards[agent] for agent in self._agents], np.float32)
        info = {"agent_rewards": own}
        return self._joined(observations), float(own.sum()), terminated, is_over ^ terminated, info

    def _split(self, action: NDArray[Any]) -> dict[str, Any]:
        if isinstance(self.action_space, spaces.MultiDiscrete):
            return {a: int(number) for a, number in zip(self._agents, action, strict=True)}
        sizes = [int(np.prod(space.shape)) for space in self._acts.values()]
        parts = np.split(action, np.cumsum(sizes)[:-1])
        return {
            agent: part.reshape(space.shape).astype(space.dtype)
            for (agent, space), part in zip(self._acts.items(), parts, strict=True)
        }

    def _joined(self, observations: Mapping[str, Any]) -> NDArray[np.float32]:
        parts = [
            np.asarray(spaces.flatten(space, observations[agent]), np.float32)
            for agent, space in self._observed.items()
        ]
        return np.concatenate(parts)

    def _check_present(self, when: str) -> None:
        missing = sorted(set(self._agents) - set(self._env.agents))
        if missing:
            raise EnvironmentRaised(
                f"All agents of {self._name} must stay for the whole episode, but {when} "
                f"{', '.join(missing)} had left. Set env_kwargs so that the episode ends for all "
                "at once, or wrap the environment."
            )

    def render(self) -> Any:
        """Returns a picture of the environment."""
        return self._env.render()

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


def _joint_box(boxes: list[Any]) -> spaces.Box:
    low = np.concatenate([box.low.reshape(-1) for box in boxes]).astype(np.float32)
    high = np.concatenate([box.high.reshape(-1) for box in boxes]).astype(np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def _action_spec(space: Any) -> Discrete | Continuous:
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n))
    return Continuous(int(np.prod(space.shape)))


def _built(config: PettingZooConfig, options: Mapping[str, Any]) -> Any:
    make = getattr(_module(config.env_name), "parallel_env", None)
    if make is None:
        raise ConfigError(
            f"{config.env_name} must have a function or class `parallel_env`, but has none. Name "
            "the module of one environment; turn-based ones are not served."
        )
    try:
        return make(**{**config.env_kwargs, **options})
    except Exception as error:  # whatever its constructor says of the arguments
        raise ConfigError(
            f"{config.env_name} must be buildable with env_kwargs {config.env_kwargs}, "
            f"but {type(error).__name__}: {error}"
        ) from error


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise MissingDependencyError(
                f"{name} needs the package {error.name}, which is not installed: pip install "
                f"{error.name}"
            ) from error
        if error.name == name.partition(".")[0]:
            raise _no_package(name, error.name) from error
        raise _no_environment(name) from error


def _no_package(name: str, package: str) -> Exception:
    if package in _PACKAGES_OF_EXTRA:
        return MissingDependencyError(
            f"{name} needs the package {package}, which is not installed: pip install "
            "'sweeprl[pettingzoo]'"
        )
    return UnknownNameError(
        f"No package '{package}', of which '{name}' is to be an environment."
        f"{did_you_mean(package, _PACKAGES_OF_EXTRA)} Write the importable name of a module, "
        "mpe2.simple_spread_v3 for example, and install its package."
    )


_PACKAGES_OF_EXTRA = ("mpe2", "pettingzoo")


def _no_environment(name: str) -> UnknownNameError:
    package, _, _ = name.rpartition(".")
    try:
        found = importlib.import_module(package)
    except ImportError:
        found = importlib.import_module(name.partition(".")[0])
    paths = getattr(found, "__path__", [])
    known = [
        f"{found.__name__}.{module.name}"
        for module in pkgutil.iter_modules(paths)
        if not module.name.startswith("_")
    ]
    return UnknownNameError(
        f"No PettingZoo environment '{name}'.{did_you_mean(name, known)} "
        f"{found.__name__} has: {', '.join(known) or 'no modules'}."
    )
