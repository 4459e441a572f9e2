"""EnvPool's environments, which a pool of threads steps (Weng et al. 2022).

EnvPool: A Highly Parallel Reinforcement Learning Environment Execution Engine,
https://arxiv.org/abs/2206.10558.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from sweeprl.errors import ConfigError, MissingDependencyError, did_you_mean

__all__ = ["Pool"]


class Pool(VectorEnv[Any, Any, Any]):
    """Copies of one of EnvPool's environments, as a vector environment of Gymnasium.

    Args:
        env_id: EnvPool's name of it, which is mostly Gymnasium's.
        env_kwargs: for its constructor.
        seeds: of each copy; they cannot be seeded again.

    Raises:
        MissingDependencyError: EnvPool is not installed.
        ConfigError: it has no such environment, or one that takes other arguments.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self, env_id: str, env_kwargs: Mapping[str, Any], seeds: Sequence[int]) -> None:
        try:
            import envpool
        except ImportError as error:
            raise MissingDependencyError(
                'vectorization "envpool" needs a package that is not installed: pip install '
                "'sweeprl[envpool]'."
            ) from error
        known = envpool.list_all_envs()
        if env_id not in known:
            raise ConfigError(
                f'vectorization "envpool" needs an environment that EnvPool has, but it has no '
                f'\'{env_id}\'.{did_you_mean(env_id, known)} Write "sync" or "async".'
            )
        numbers = [seed % 2**31 for seed in seeds]  # EnvPool's are 32 bits with a sign
        threads = torch.get_num_threads()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Gymnasium's, of its bounds in another precision
                self._pool: Any = envpool.make_gymnasium(
                    env_id, num_envs=len(numbers), seed=numbers, num_threads=threads, **env_kwargs
                )
                self.single_observation_space = self._pool.observation_space
                self.single_action_space = self._pool.action_space
        except Exception as error:  # whatever its constructor says of the arguments
            raise ConfigError(
                f"EnvPool's {env_id} must be buildable with env_kwargs {dict(env_kwargs)}, but "
                f"{type(error).__name__}: {error}"
            ) from error
        self.num_envs = len(numbers)
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def reset(self, *, seed: Any = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Begins all episodes; the seeds are those of the constructor."""
        return self._pool.reset()[0], {}

    def step(
        self, actions: Any
    ) -> tuple[Any, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Steps all copies; one whose episode is over begins the next instead."""
        wanted = np.asarray(actions, self.single_action_space.dtype)
        observation, reward, terminated, truncated, _ = self._pool.step(wanted)
        return observation, reward, terminated, truncated, {}

    def close_extras(self, **kwargs: Any) -> None:
        """Ends its threads."""
        self._pool.close()
