"""Gymnasium's classic control in tensors, so that a whole population can live on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import gymnasium as gym
import numpy as np
import torch as _torch
from numpy.typing import NDArray
from pydantic import Field

from sweeprl.config import EnvConfig, EnvSpec, TrialConfig
from sweeprl.envs._copies import Copies, Mark, Step
from sweeprl.envs._dynamics import Dynamics, dynamics
from sweeprl.envs._extension import STAGE_NUMBERS, EnvExtension, Stage
from sweeprl.envs._lanes import LaneEnvs
from sweeprl.envs._tensor_copies import TensorCopies
from sweeprl.envs._tensor_lanes import TensorLanes
from sweeprl.functional import stream_key

__all__ = ["Torch", "TorchConfig"]


class TorchConfig(EnvConfig):
    """Which environment, and how it is built."""

    env_name: str = "CartPole-v1"
    """CartPole-v1, Acrobot-v1, MountainCar-v0, MountainCarContinuous-v0 or Pendulum-v1."""
    env_kwargs: dict[str, Any] = {}
    """Keyword arguments of Gymnasium's constructor."""
    render_every_episode: Annotated[int | None, Field(ge=0)] = 0
    """Every how many test episodes a video is written under `root_dir`; 0 or null is never."""


class Torch(EnvExtension):
    """Classic control in tensors: equal to Gymnasium's, for thousands of agents on one GPU."""

    Config = TorchConfig

    def name(self, config: TorchConfig) -> str:
        """The id."""
        return config.env_name

    def dynamics(self, config: Any) -> Dynamics:
        """What the environment is, from an instance of `Config`."""
        return dynamics(config.env_name, config.env_kwargs)

    def spec(self, config: TorchConfig) -> EnvSpec:
        """What a frame needs to know of the environment."""
        return self.dynamics(config).spec

    def make(self, config: TorchConfig, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """Builds Gymnasium's own environment, which evaluates and films a single trial."""
        self.dynamics(config)
        return gym.make(
            config.env_name,
            render_mode=render_mode,
            disable_env_checker=True,
            **config.env_kwargs,
        )

    def create_copies(self, config: TrialConfig, stage: Stage) -> Copies:
        """Builds tensors for training, and Gymnasium's environment for the rest."""
        if stage != "train":
            return super().create_copies(config, stage)
        return _TrainingCopies(self.dynamics(config.train_env_config), config.num_envs, config.seed)

    def create_lanes(
        self,
        config: TrialConfig,
        seeds: Sequence[int],
        stage: Stage,
        device: _torch.device,
    ) -> LaneEnvs:
        """Builds tensors on the device where the agents learn."""
        is_training = stage == "train"
        section = config.train_env_config if is_training else config.test_env_config
        return TensorLanes(
            self.dynamics(section),
            seeds,
            self.num_lane_envs(config, stage),
            STAGE_NUMBERS[stage],
            device,
            is_judging=not is_training,
        )


class _TrainingCopies(Copies):
    """Tensors behind the interface of `Copies`, for a single agent."""

    def __init__(self, dynamics: Dynamics, num: int, seed: int) -> None:
        super().__init__(dynamics.spec, num, lambda copy, episode: episode)
        self._copies = TensorCopies(dynamics, num, _torch.device("cpu"))
        stage = STAGE_NUMBERS["train"]
        self._copies.set_keys(slice(None), [stream_key(seed, stage, copy) for copy in range(num)])
        self._valid = np.ones(num, bool)
        self._marked: dict[str, Any] | None = None

    def _restart(self, over: NDArray[np.bool_]) -> NDArray[np.float32]:
        self._copies.restart(_torch.from_numpy(over))
        return self._copies.observation.numpy().copy()

    def _step(self, actions: NDArray[Any]) -> Step:
        observation, reward, terminated, truncated = self._copies.step(_torch.from_numpy(actions))
        ends = terminated.numpy(), truncated.numpy()
        return Step(observation.numpy(), reward.numpy(), *ends, self._valid)

    def mark(self) -> Mark:
        """Remembers where the copies are."""
        self._marked = self._copies.state_dict(slice(None))
        return super().mark()

    def state_dict(self, mark: Mark | None = None) -> dict[str, Any]:
        """Returns the tensors, which hold all there is."""
        state = self._marked if mark is not None else None
        return dict(state or self._copies.state_dict(slice(None)))

    def load_state_dict(self, state: dict[str, Any]) -> NDArray[np.float32]:
        """Goes on where `state` was taken."""
        self._copies.load_state_dict(slice(None), state)
        self._episodes = state["episode"].tolist()
        self._actions = [[] for _ in range(self.num)]
        return self._copies.observation.numpy().copy()

    def close(self) -> None:
        """Frees nothing: tensors free themselves."""
