"""N copies of an environment, stepped together, whose episodes start and end one by one.

The end of an episode and the start of the next are two calls (`step`, `restart`), so that its true
last observation is never lost, and every episode has a seed of its own, so that it can be played
again.
"""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from sweeprl.config import EnvSpec
from sweeprl.envs._spaces import ActionAdapter, agents_of, describe, rewards_of_agents
from sweeprl.errors import ConfigError, EnvironmentRaised, SweepRLError

__all__ = [
    "Copies",
    "Mark",
    "NativeCopies",
    "SeedOf",
    "SingleCopy",
    "Step",
    "VectorCopies",
    "episode_seed",
    "packed_actions",
    "unpacked_actions",
]

Observations = NDArray[np.float32]
Mark = tuple[list[int], list[tuple[list[NDArray[Any]], int]]]
"""A place in N episodes: their numbers, and for each what was done and how much of it counts."""
SeedOf = Callable[[int, int], int]
"""The reset seed, from the number of the copy and of its episode."""


class Step(NamedTuple):
    """What one step of N environments returned."""

    state: Observations
    """`(N, D)`; where an episode ended, its last observation"""
    reward: NDArray[np.float32]
    """`(N,)`"""
    terminated: NDArray[np.bool_]
    """`(N,)`"""
    truncated: NDArray[np.bool_]
    """`(N,)`"""
    valid: NDArray[np.bool_]
    """`(N,)`, False where the environment only started a new episode"""
    agent_rewards: NDArray[np.float32] | None = None
    """`(N, M)`, of each agent; None where there is only one"""


def episode_seed(seed: int, stage: int, copy: int, episode: int) -> int:
    """Returns an episode's reset seed, different for every seed, stage, copy and episode number."""
    return int(np.random.SeedSequence([seed, stage, copy, episode]).generate_state(1)[0])


class Copies(ABC):
    """N copies of an environment.

    Args:
        spec: what they are.
        num: N.
        seed_of: the reset seed, from the number of the copy and of its episode.
    """

    def __init__(self, spec: EnvSpec, num: int, seed_of: SeedOf) -> None:
        self.spec, self.num = spec, num
        self._seed_of = seed_of
        self._episodes = [-1] * num
        self._actions: list[list[NDArray[Any]]] = [[] for _ in range(num)]

    def reset(self) -> Observations:
        """Starts the next episode in every copy; returns observations `(N, D)`."""
        return self.restart(np.ones(self.num, bool))

    def restart(self, over: NDArray[np.bool_]) -> Observations:
        """Starts the next episode where `over` `(N,)`; returns the observations of all, `(N, D)`.

        Raises:
            EnvironmentRaised: the environment did.
        """
        for copy in np.flatnonzero(over):
            self._episodes[copy] += 1
            self._actions[copy] = []
        observations: Observations = _guarded("reset", self._restart, over)
        return observations

    def step(self, actions: NDArray[Any]) -> Step:
        """Steps every copy with the frame's actions, `(N,)` or `(N, A)`.

        Raises:
            EnvironmentRaised: the environment did.
        """
        for done, action in zip(self._actions, actions, strict=True):
            done.append(action)
        step: Step = _guarded("step", self._step, actions)
        return step

    def rewind(self) -> None:
        """Makes the next episode of each copy its first one again."""
        self._episodes = [-1] * self.num

    def _seed(self, copy: int) -> int:
        return self._seed_of(copy, self._episodes[copy])

    @abstractmethod
    def _restart(self, over: NDArray[np.bool_]) -> Observations: ...

    @abstractmethod
    def _step(self, actions: NDArray[Any]) -> Step: ...

    @abstractmethod
    def close(self) -> None:
        """Frees what the environments hold."""

    def mark(self) -> Mark:
        """Remembers, at no cost, where the copies are."""
        return list(self._episodes), [(actions, len(actions)) for actions in self._actions]

    def state_dict(self, mark: Mark | None = None) -> dict[str, Any]:
        """Returns each copy's episode number and what was done in that episode so far.

        Args:
            mark: an earlier place to tell of; now by default.
        """
        episodes, actions = mark or self.mark()
        done = [packed_actions(all_done[:count]) for all_done, count in actions]
        return {"episodes": episodes, "actions": done}

    def load_state_dict(self, state: dict[str, Any]) -> Observations | None:
        """Plays the running episodes again up to where `state` was taken.

        Returns:
            The observations reached, `(N, D)`; None where the copies cannot be stepped singly, and
            new episodes began.
        """
        self._episodes = list(state["episodes"])
        self._actions = [[] for _ in range(self.num)]
        return None


def packed_actions(actions: Sequence[Any]) -> list[Any]:
    """Returns the actions of an episode as plain numbers, for a checkpoint."""
    packed: list[Any] = np.asarray(actions).tolist()
    return packed


def _guarded(what: str, call: Callable[..., Any], *args: Any) -> Any:
    """Turns whatever an environment raises into a reason for the trial's end."""
    try:
        return call(*args)
    except (SweepRLError, KeyboardInterrupt):
        raise
    except Exception as error:
        kind = type(error).__name__
        raise EnvironmentRaised(f"The environment's {what} raised {kind}: {error}") from error


class SingleCopy(Copies):
    """One environment, without the cost of a vector.

    Args:
        env: with vector observations.
        name: how messages call it.
        seed_of: the reset seed, from the number of the copy and of its episode.
    """

    def __init__(self, env: gym.Env[Any, Any], name: str, seed_of: SeedOf) -> None:
        super().__init__(describe(env, name), 1, seed_of)
        self._env = env
        self._adapt = ActionAdapter(env.action_space, name)
        self._valid = np.ones(1, bool)

    def _restart(self, over: NDArray[np.bool_]) -> Observations:
        observation, _ = self._env.reset(seed=self._seed(0))
        return np.asarray(observation, np.float32)[None]

    def _step(self, actions: NDArray[Any]) -> Step:
        observation, reward, terminated, truncated, info = self._env.step(self._adapt(actions)[0])
        return Step(
            np.asarray(observation, np.float32)[None],
            np.array((reward,), np.float32),
            np.array((terminated,), bool),
            np.array((truncated,), bool),
            self._valid,
            rewards_of_agents(info, self.spec, (1,)),
        )

    def load_state_dict(self, state: dict[str, Any]) -> Observations | None:
        """Resets with the episode's seed and repeats its actions."""
        super().load_state_dict(state)
        _number_films(self._env, self._episodes[0])
        observation = _guarded("reset", self._restart, self._valid)
        for action in unpacked_actions(state["actions"][0]):
            observation = self.step(action[None]).state
        return np.asarray(observation)

    def close(self) -> None:
        """Closes the environment, which finishes its last video."""
        self._env.close()


def _number_films(env: gym.Env[Any, Any], episode: int) -> None:
    """Lets a RecordVideo wrapper, if there is one, count the next episode as `episode`."""
    if env.has_wrapper_attr("episode_id"):
        env.set_wrapper_attr("episode_id", episode - 1)


def unpacked_actions(actions: Sequence[Any]) -> NDArray[Any]:
    """Returns the actions of an episode as they were before `packed_actions`."""
    numbers = np.asarray(actions)
    return numbers.astype(np.float32) if numbers.dtype == np.float64 else numbers


class VectorCopies(Copies):
    """Several environments in Gymnasium's own vector classes, in this process or in one each.

    Args:
        make: builds each environment, with vector observations.
        name: how messages call it.
        seed_of: the reset seed, from the number of the copy and of its episode.
        in_processes: whether each gets a process of its own.
    """

    def __init__(
        self,
        make: Sequence[Callable[[], gym.Env[Any, Any]]],
        name: str,
        seed_of: SeedOf,
        in_processes: bool = False,
    ) -> None:
        vector_class = AsyncVectorEnv if in_processes else SyncVectorEnv
        if in_processes:
            make = [partial(_without_interrupts, each) for each in make]
        self._env: Any = vector_class(make, autoreset_mode=AutoresetMode.DISABLED)
        space = self._env.single_action_space
        self._adapt = ActionAdapter(space, name)
        (size,) = self._env.single_observation_space.shape  # type: ignore[misc]
        spec = EnvSpec(size, self._adapt.spec, name, agents_of(self._env))
        super().__init__(spec, len(make), seed_of)
        self._valid = np.ones(self.num, bool)

    def _restart(self, over: NDArray[np.bool_]) -> Observations:
        seeds = [self._seed(copy) if over[copy] else None for copy in range(self.num)]
        observation, _ = self._env.reset(seed=seeds, options={"reset_mask": over.copy()})
        return np.asarray(observation, np.float32)

    def _step(self, actions: NDArray[Any]) -> Step:
        observation, reward, terminated, truncated, info = self._env.step(self._adapt(actions))
        return Step(
            np.asarray(observation, np.float32),
            reward.astype(np.float32),
            terminated.copy(),
            truncated.copy(),
            self._valid,
            rewards_of_agents(info, self.spec, (self.num,)),
        )

    def load_state_dict(self, state: dict[str, Any]) -> Observations | None:
        """Plays each copy's running episode again, if the copies run in this process."""
        super().load_state_dict(state)
        if not isinstance(self._env, SyncVectorEnv):
            return None
        _number_films(self._env.envs[0], self._episodes[0])
        self._restart(np.ones(self.num, bool))
        observations = []
        for copy, env in enumerate(self._env.envs):
            observation, _ = env.reset(seed=self._seed(copy))
            for action in unpacked_actions(state["actions"][copy]):
                self._actions[copy].append(action)
                observation = env.step(self._adapt(action[None])[0])[0]
            observations.append(np.asarray(observation, np.float32))
        return np.stack(observations)

    def close(self) -> None:
        """Closes the environments, and ends their processes."""
        self._env.close()


def _without_interrupts(make: Callable[[], gym.Env[Any, Any]]) -> gym.Env[Any, Any]:
    """Builds an environment in a process that leaves Ctrl-C, which all get, to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return make()


class NativeCopies(Copies):
    """An environment's own vectorised implementation.

    Such environments start a new episode by themselves in the step after the end of the last, and
    are seeded once; those steps are marked as no transition.

    Args:
        env: with vector observations and autoreset in the next step.
        name: how messages call it.
        seed_of: the reset seed, from the number of the copy and of its episode.

    Raises:
        ConfigError: the environment resets in another way.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], name: str, seed_of: SeedOf) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.NEXT_STEP:
            raise ConfigError(
                f"A native vector environment must have autoreset mode NEXT_STEP, but {name} has "
                f'{mode}. Set vectorization to "sync".'
            )
        self._env = env
        self._adapt = ActionAdapter(env.single_action_space, name)
        (size,) = env.single_observation_space.shape  # type: ignore[misc]
        spec = EnvSpec(size, self._adapt.spec, name, agents_of(env))
        super().__init__(spec, env.num_envs, seed_of)
        self._over = np.zeros(self.num, bool)
        self._last: Observations | None = None

    def _restart(self, over: NDArray[np.bool_]) -> Observations:
        if self._last is None:
            observation, _ = self._env.reset(seed=self._seed(0))
            self._last = np.array(observation, np.float32)
        return self._last

    def _step(self, actions: NDArray[Any]) -> Step:
        valid = ~self._over
        observation, reward, terminated, truncated, info = self._env.step(self._adapt(actions))
        self._last = np.array(observation, np.float32)
        self._over = terminated | truncated
        return Step(
            self._last,
            reward.astype(np.float32),
            terminated.copy(),
            truncated.copy(),
            valid,
            rewards_of_agents(info, self.spec, (self.num,)),
        )

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()
