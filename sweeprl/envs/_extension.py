"""What an environment extension is: four parts, each with a default."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import gymnasium as gym
import torch

from sweeprl.config import EnvConfig, EnvSpec, TrialConfig
from sweeprl.envs._copies import Copies, SeedOf, SingleCopy, VectorCopies, episode_seed
from sweeprl.envs._dataset import Agent, EvaluationDataset, RLDataset
from sweeprl.envs._lanes import LaneEnvs
from sweeprl.envs._native_lanes import NativeLanes
from sweeprl.envs._slot_lanes import SlotLanes
from sweeprl.envs._spaces import describe, flatten_observations
from sweeprl.errors import ConfigError

__all__ = ["STAGE_NUMBERS", "EnvExtension", "Stage"]

Stage = Literal["train", "evaluation", "test"]
"""What an environment is for. Each stage has reset seeds of its own."""

STAGE_NUMBERS = {"train": 0, "evaluation": 1, "test": 2}
"""What tells the seeds of stages apart."""


class EnvExtension(ABC):
    """A family of environments. Most need `Config` and `make` only.

    The four parts of the specification are a dataset class (`dataset_class`), its creator
    (`create_dataset`), `generate_env_config` and `launch`.
    """

    Config: ClassVar[type[EnvConfig]]
    """What `train_env_config` and `test_env_config` hold."""
    dataset_class: ClassVar[type[RLDataset]] = RLDataset
    """What training draws from."""

    @abstractmethod
    def make(self, config: Any, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """Builds one environment.

        Args:
            config: an instance of `Config`.
            render_mode: "rgb_array" where a video is to be made.

        Raises:
            ConfigError: there is no such environment.
        """

    def name(self, config: Any) -> str:
        """How messages call the environment."""
        return type(self).__name__

    def render_every_episode(self, config: Any) -> int:
        """Every how many episodes a video is made; 0 is never."""
        return int(getattr(config, "render_every_episode", 0) or 0)

    def spec(self, config: Any) -> EnvSpec:
        """What a frame needs to know of the environment; by default one is built to be asked."""
        env = self._flat(config)
        try:
            return describe(env, self.name(config))
        finally:
            env.close()

    def make_native(self, config: Any, num: int, seed_of: SeedOf) -> Copies:
        """Builds the environment's own vectorised implementation.

        Args:
            config: an instance of `Config`.
            num: how many copies.
            seed_of: the reset seed, from the number of the copy and of its episode.

        Raises:
            ConfigError: there is none.
        """
        raise ConfigError(
            f'vectorization "native" needs an own vectorised implementation, but '
            f'{self.name(config)} has none. Write "sync" or "async".'
        )

    def make_pool(self, config: Any, num: int, seed_of: SeedOf) -> Copies:
        """Builds EnvPool's implementation of the environment; the arguments are `make_native`'s.

        Raises:
            ConfigError: there is none.
        """
        raise ConfigError(
            f'vectorization "envpool" is for environments of Gymnasium without wrappers, but '
            f'{self.name(config)} is another or has some. Write "sync" or "async".'
        )

    def _one_vector(
        self, config: TrialConfig, section: Any, num: int, seed_of: SeedOf
    ) -> Copies | None:
        """All copies as one vector environment, where the config asks for one."""
        match config.vectorization:
            case "native":
                return self.make_native(section, num, seed_of)
            case "envpool":
                return self.make_pool(section, num, seed_of)
        return None

    def generate_env_config(self, config: dict[str, Any]) -> dict[str, Any]:
        """Adds `train_env_config` and `test_env_config` to a plain config; what is set is kept."""
        defaults = self.Config().model_dump(mode="json")
        sections = ("train_env_config", "test_env_config")
        return {**config, **{name: {**defaults, **config.get(name, {})} for name in sections}}

    def create_dataset(self, agent: Agent, config: TrialConfig, stage: Stage) -> RLDataset:
        """Builds the dataset of a stage, in which `agent` acts."""
        copies = self.create_copies(config, stage)
        if stage == "train":
            return self.dataset_class(
                copies,
                agent,
                config.train_env_config.act_kwargs,
                max_env_steps=config.max_env_steps,
                max_episodes=config.max_episodes,
            )
        evaluation = config.evaluation
        episodes = evaluation.episodes if stage == "evaluation" else evaluation.final_episodes
        return EvaluationDataset(copies, agent, config.test_env_config.act_kwargs, episodes)

    def create_copies(self, config: TrialConfig, stage: Stage) -> Copies:
        """Builds the environments of a stage: `num_envs` for training, one otherwise."""
        is_training = stage == "train"
        section = config.train_env_config if is_training else config.test_env_config
        num = config.num_envs if is_training else 1
        seed_of = partial(episode_seed, config.seed, STAGE_NUMBERS[stage])
        if is_training and (vector := self._one_vector(config, section, num, seed_of)):
            return vector
        video = partial(self._filmed, section, Path(config.root_dir) / "videos", stage)
        plain = partial(self._flat, section)
        if num == 1:
            return SingleCopy(video(), self.name(section), seed_of)
        makers = [video, *[plain] * (num - 1)]
        return VectorCopies(makers, self.name(section), seed_of, config.vectorization == "async")

    def create_lanes(
        self,
        config: TrialConfig,
        seeds: Sequence[int],
        stage: Stage,
        device: torch.device,
    ) -> LaneEnvs:
        """Builds the environments of L agents that are trained in lock-step.

        Args:
            config: one of the trials, whose environment all share.
            seeds: of each trial, `(L,)`.
            stage: what they are for.
            device: where the agents learn.

        Raises:
            ConfigError: the environments cannot be lanes.
        """
        is_training = stage == "train"
        section = config.train_env_config if is_training else config.test_env_config
        num_envs = self.num_lane_envs(config, stage)
        self._check_lanes(config.vectorization if is_training else "sync")
        seed_of = partial(episode_seed, seeds[0], STAGE_NUMBERS[stage])
        num = len(seeds) * num_envs
        if is_training and (vector := self._one_vector(config, section, num, seed_of)):
            return NativeLanes(vector, seeds, num_envs)
        return SlotLanes(
            partial(self._flat, section),
            self.name(section),
            seeds,
            num_envs,
            STAGE_NUMBERS[stage],
            is_judging=not is_training,
        )

    def _check_lanes(self, vectorization: str) -> None:
        """Refuses what the default lanes would pass over in silence."""
        if vectorization == "async":
            raise ConfigError(
                'Lanes share one process: their vectorization must not be "async". Run these '
                "trials one by one."
            )
        for name in ("dataset_class", "create_dataset", "create_copies"):
            if getattr(type(self), name) is not getattr(EnvExtension, name):
                raise ConfigError(
                    f"Lanes must be built by the extension that has a {name} of its own, but "
                    f"{type(self).__name__} has no create_lanes. Write one, or run these trials "
                    "one by one."
                )

    def num_lane_envs(self, config: TrialConfig, stage: Stage) -> int:
        """Environments of each lane: an evaluation plays its episodes side by side."""
        evaluation = config.evaluation
        return {
            "train": config.num_envs,
            "evaluation": evaluation.episodes,
            "test": evaluation.final_episodes,
        }[stage]

    def launch(
        self, config: TrialConfig, pl_callbacks: Sequence[Any], fit: Callable[..., Any]
    ) -> Any:
        """Runs a trial; override it to set something up around the training.

        Args:
            config: the trial.
            pl_callbacks: Lightning callbacks of the user.
            fit: trains with Lightning, `fit(config, pl_callbacks)`, and returns the trial's record.
        """
        return fit(config, pl_callbacks)

    def _flat(self, section: EnvConfig) -> gym.Env[Any, Any]:
        return flatten_observations(self.make(section))

    def _filmed(self, section: EnvConfig, folder: Path, stage: Stage) -> gym.Env[Any, Any]:
        every = self.render_every_episode(section)
        if not every:
            return self._flat(section)
        if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame looks for a screen otherwise
        env = self.make(section, render_mode="rgb_array")
        if env.render_mode != "rgb_array":
            return flatten_observations(env)
        recorded = gym.wrappers.RecordVideo(
            env, str(folder), episode_trigger=_trigger(stage, every), name_prefix=stage
        )
        return flatten_observations(recorded)


def _trigger(stage: Stage, every: int) -> Callable[[int], bool]:
    """The final test's first episode is always filmed; otherwise one episode in `every`."""
    return lambda episode: episode == 0 if stage == "test" else episode % every == 0
