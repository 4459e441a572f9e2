"""The settings that algorithms share; each frame's own config extends one of these."""

from __future__ import annotations

import math
import warnings
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, PlainSerializer, model_validator
from typing_extensions import Self

from sweeprl.config.base import Config
from sweeprl.config.ranges import (
    Choice,
    Float,
    Inert,
    Int,
    Masked,
    OneMinus,
    PowerOfTwo,
    Traced,
    inert,
)

__all__ = [
    "ClassRef",
    "FrameConfig",
    "PrioritizedConfig",
    "ReplayConfig",
    "RolloutConfig",
    "SearchConfig",
    "TransitionConfig",
]


def _importable_name(reference: Any) -> Any:
    is_class = isinstance(reference, type)
    return f"{reference.__module__}.{reference.__qualname__}" if is_class else reference


ClassRef = Annotated[str | type, PlainSerializer(_importable_name, when_used="json")]
"""A class, or its name: a global of the caller, importable as `module.Class`, or one of torch's."""


class FrameConfig(Config):
    """What every frame can be told."""

    model_config = ConfigDict(allow_inf_nan=False)

    limits: ClassVar[tuple[str, ...]] = ()
    """Upper limits of single settings, as a search space reads them; values that are searched are
    moved below them. What is not searched is refused by validators."""
    advice: ClassVar[tuple[str, ...]] = ()
    """Limits that a search should keep although a config need not: part of the default space."""

    models: list[ClassRef]
    """One network for each role, in the frame's order: a class, a global of the caller,
    `module.Class`, or a default's name."""
    model_args: list[list[Any]]
    """Positional constructor arguments of each network."""
    model_kwargs: list[dict[str, Any]]
    """Keyword constructor arguments of each network. `state_dim`, `action_dim` and `action_num` are
    filled in from the environment where the constructor has them."""
    optimizer: ClassRef = "Adam"
    """An element-wise torch optimizer: a class, its importable name, or a name in `torch.optim`."""
    optimizer_kwargs: dict[str, Any] = {}
    """Further keyword arguments of the optimizer, without the learning rate."""
    lr_scheduler: ClassRef | None = None
    """A scheduler from `torch.optim.lr_scheduler`, stepped after every round of updates."""
    lr_scheduler_args: list[Any] | None = None
    """Its positional arguments; a list of lists gives each optimizer its own."""
    lr_scheduler_kwargs: dict[str, Any] | list[dict[str, Any]] | None = None
    """Its keyword arguments; a list gives each optimizer its own."""
    gradient_max: Annotated[
        float, Field(gt=0, allow_inf_nan=True), Float(0.3, 10.0, log=True), Traced()
    ] = math.inf
    """Largest norm of the gradient of one network; larger gradients are scaled down."""

    @model_validator(mode="after")
    def _one_setting_per_model(self) -> Self:
        expected = len(type(self).model_fields["models"].default)
        for name in ("models", "model_args", "model_kwargs"):
            found = len(getattr(self, name))
            if found != expected:
                raise ValueError(
                    f"`{name}` must have {expected} elements, one for each network, "
                    f"but has {found}."
                )
        return self

    @model_validator(mode="after")
    def _scheduler_settings_need_a_scheduler(self) -> Self:
        if self.lr_scheduler is None and (self.lr_scheduler_args or self.lr_scheduler_kwargs):
            raise ValueError(
                "`lr_scheduler_args` and `lr_scheduler_kwargs` need an `lr_scheduler`, but it is "
                "null. Name one, 'LinearLR' for example."
            )
        return self

    @model_validator(mode="after")
    def _warn_of_what_has_no_effect(self) -> Self:
        for name in inert(type(self)):
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                warnings.warn(
                    f"frame_config.{name}={value!r} has no effect: it is kept for configs of the "
                    "predecessor. Leave it out.",
                    stacklevel=1,
                )
        return self

    @property
    def sections(self) -> dict[str, FrameConfig]:
        """The nested configs that are in use, by field name."""
        return {name: value for name, value in self if isinstance(value, FrameConfig)}

    @property
    def experience(self) -> FrameConfig:
        """The config, this or a nested one, that says how experience is collected and kept."""
        return self

    def check(self, num_envs: int) -> None:
        """Refuses what depends on the number of environments.

        Raises:
            ValueError: the settings do not fit `num_envs` environments a lane.
        """
        for name, section in self.sections.items():
            try:
                section.check(num_envs)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error


class TransitionConfig(FrameConfig):
    """Frames that learn from single transitions."""

    discount: Annotated[float, Field(ge=0, le=1), OneMinus(1e-4, 3e-2), Traced()] = 0.99
    """Discount factor of one environment step."""
    batch_size: Annotated[int, Field(gt=0), PowerOfTwo(4, 10)] = 100
    """Transitions in one gradient step."""
    replay_size: Annotated[int, Field(gt=0)] = 500_000
    """Most transitions that are kept."""
    replay_device: str = "cpu"
    """Torch device that keeps them."""
    replay_buffer: None = None
    """Kept for configs of the predecessor; only null, the buffer is the engine's own."""
    normalize_observation: bool = False
    """Whether observations are shifted and scaled by their running mean and deviation."""
    normalize_reward: bool = False
    """Whether rewards are scaled by the running deviation of the discounted return."""
    visualize: Annotated[bool, Inert()] = False
    """Kept for configs of the predecessor; has no effect."""
    visualize_dir: Annotated[str, Inert()] = ""
    """Kept for configs of the predecessor; has no effect."""


class ReplayConfig(TransitionConfig):
    """Off-policy frames: they learn from a replay buffer and follow with target networks."""

    limits: ClassVar[tuple[str, ...]] = ("batch_size <= replay_size",)
    advice: ClassVar[tuple[str, ...]] = ("warmup_steps <= max_env_steps / 5",)

    update_rate: Annotated[
        float | None, Field(gt=0, le=1), Float(1e-3, 0.08, log=True), Traced()
    ] = 0.005
    """Share of the online network that a target network takes on after every update (Polyak
    averaging)."""
    batch_size: Annotated[int, Field(gt=0), PowerOfTwo(4, 10), Masked()] = 100
    """Transitions in one gradient step."""
    update_steps: Annotated[int | None, Field(gt=0), Masked()] = None
    """Updates between two full copies to the target networks, instead of `update_rate`."""
    updates_per_step: Annotated[float, Field(gt=0), Choice((0.125, 0.25, 0.5, 1.0)), Masked()] = 1.0
    """Updates for each environment step."""
    collect_steps: Annotated[int | None, Field(gt=0)] = None
    """Steps of each environment between two rounds of updates; null is one whole episode where
    there is one environment, and 64 steps otherwise."""
    warmup_steps: Annotated[int, Field(ge=0), Int(100, 10_000, log=True), Traced()] = 1000
    """Environment steps with uniformly random actions before the first update."""

    @model_validator(mode="after")
    def _one_way_to_follow(self) -> Self:
        if (self.update_rate is None) == (self.update_steps is None):
            raise ValueError(
                f"exactly one of update_rate and update_steps must be set, but got "
                f"update_rate={self.update_rate}, update_steps={self.update_steps}. "
                "Set the other one to null."
            )
        return self

    @model_validator(mode="after")
    def _buffer_holds_a_batch(self) -> Self:
        if self.batch_size > self.replay_size:
            raise ValueError(
                f"`batch_size <= replay_size` must hold, but got batch_size={self.batch_size}, "
                f"replay_size={self.replay_size}."
            )
        return self


class PrioritizedConfig(ReplayConfig):
    """Off-policy frames whose replay buffer draws by priority.

    A frame's config names it after the config that it adds to, so that the other's defaults stay:
    `class DQNPerConfig(DQNConfig, PrioritizedConfig)`.
    """

    priority_alpha: Annotated[float, Field(ge=0, le=1), Float(0.2, 0.9), Traced()] = 0.6
    """How far the chance to be drawn follows the priority: 0 is uniform, 1 proportional."""
    priority_beta: Annotated[float, Field(ge=0, le=1), Float(0.2, 1.0), Traced()] = 0.4
    """How far importance weights make up for it, at the start; 1 is in full."""
    priority_beta_steps: Annotated[float | None, Field(gt=0), Traced()] = 100_000
    """Environment steps over which that rises linearly to 1; null leaves it as it is."""
    priority_epsilon: Annotated[float, Field(gt=0), Traced()] = 1e-6
    """Added to every priority, so that each transition can be drawn again."""


class RolloutConfig(TransitionConfig):
    """On-policy frames: they learn from a fresh rollout, then drop it."""

    limits: ClassVar[tuple[str, ...]] = (
        "rollout_steps <= replay_size / num_envs",
        "batch_size <= rollout_steps * num_envs",
    )

    rollout_steps: Annotated[int, Field(gt=0), PowerOfTwo(5, 12)] = 1024
    """Steps of each environment between two rounds of updates."""

    @model_validator(mode="after")
    def _rollout_lies_where_it_is_learned(self) -> Self:
        if self.replay_device != "cpu":
            raise ValueError(
                "`replay_device` must be 'cpu' for an on-policy frame, whose rollout lies where it "
                f"is learned from, but got '{self.replay_device}'."
            )
        return self

    def check(self, num_envs: int) -> None:
        """Refuses a batch larger than the rollout, and a rollout larger than `replay_size`."""
        rollout = self.rollout_steps * num_envs
        if not self.batch_size <= rollout <= self.replay_size:
            raise ValueError(
                f"`batch_size <= rollout_steps * num_envs <= replay_size` must hold, but got "
                f"batch_size={self.batch_size}, rollout_steps={self.rollout_steps}, "
                f"num_envs={num_envs}, replay_size={self.replay_size}."
            )


class SearchConfig(FrameConfig):
    """Frames that learn from the returns of whole episodes, each played with other parameters."""

    limits: ClassVar[tuple[str, ...]] = ("used_rollout_num <= rollout_num",)

    rollout_num: Annotated[int, Field(gt=0), PowerOfTwo(2, 6)] = 32
    """Directions that are tried between two updates; each is played forwards and backwards, an
    episode each."""
    used_rollout_num: Annotated[int, Field(gt=0), PowerOfTwo(2, 6)] = 32
    """How many of the directions are learned from, those with the highest returns."""
    noise_std_dev: Annotated[float, Field(gt=0), Float(1e-3, 0.3, log=True), Traced()] = 0.02
    """Length of a component of the steps along them: standard deviation of what is added to a
    parameter."""
    normalize_state: bool = True
    """Whether observations are shifted and scaled by their running mean and deviation."""

    @model_validator(mode="after")
    def _used_directions_are_tried(self) -> Self:
        if self.used_rollout_num > self.rollout_num:
            raise ValueError(
                f"`used_rollout_num <= rollout_num` must hold, but got "
                f"used_rollout_num={self.used_rollout_num}, rollout_num={self.rollout_num}."
            )
        return self

    def check(self, num_envs: int) -> None:
        """Refuses environments that never had an episode to play."""
        if num_envs > 2 * self.rollout_num:
            raise ValueError(
                f"`num_envs <= 2 * rollout_num` must hold, but got num_envs={num_envs}, "
                f"rollout_num={self.rollout_num}: there are no more episodes between two updates."
            )
