"""GAIL: imitation of an expert by being rewarded for what a discriminator takes for the expert's.

Ho and Ermon 2016, Generative Adversarial Imitation Learning, algorithm 1,
https://arxiv.org/abs/1606.03476.

Differs from the paper:
    D is the chance that a pair of state and action is the expert's; the paper's is 1 - D. The
    reward is the paper's, -log(1 - D), which is above 0: an agent also gains by living longer.
    It is that of the discriminator before its steps on the same rollout, not after them. The
    policy is improved by PPO unless `constrained_policy_optimization` says TRPO, the paper's. For
    each step of the rollout one pair is drawn from all of the expert's. A discriminator is given
    actions one-hot where they are choices, and clipped to the environment's bounds where they are
    reals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import Self

from sweeprl.config import (
    Choice,
    ClassRef,
    Continuous,
    Discrete,
    EnvSpec,
    Float,
    FrameConfig,
    Inert,
    MultiDiscrete,
    PowerOfTwo,
    Traced,
)
from sweeprl.errors import ConfigError
from sweeprl.frames._actor_critic import ActorCritic, ActorCriticConfig
from sweeprl.frames._base import Batch, Hyperparameters, Loss, Networks, Role, RolloutFrame
from sweeprl.frames._trajectories import Trajectories
from sweeprl.frames.ppo import PPO, PPOConfig
from sweeprl.frames.trpo import TRPO, TRPOConfig
from sweeprl.functional import discriminator_loss, imitation_reward, weighted_mean
from sweeprl.networks import Discriminator, Resolver

__all__ = ["GAIL", "GAILConfig"]

_POLICIES: dict[str, type[ActorCritic]] = {"PPO": PPO, "TRPO": TRPO}


class GAILConfig(FrameConfig):
    """Settings of GAIL; those outside the nested configs are the discriminator's."""

    limits: ClassVar[tuple[str, ...]] = (
        "batch_size <= PPO_config.rollout_steps * num_envs",
        "batch_size <= TRPO_config.rollout_steps * num_envs",
    )

    models: list[ClassRef] = ["Discriminator"]
    model_args: list[list[Any]] = [[]]
    model_kwargs: list[dict[str, Any]] = [{}]
    constrained_policy_optimization: Literal["PPO", "TRPO"] = "PPO"
    """What improves the policy; its config says how, and how steps are played."""
    PPO_config: PPOConfig = PPOConfig()
    """Settings of PPO, where that improves the policy."""
    TRPO_config: TRPOConfig = TRPOConfig()
    """Settings of TRPO, where that improves the policy."""
    batch_size: Annotated[int, Field(gt=0), PowerOfTwo(4, 10)] = 100
    """Steps of the rollout, and as many of the expert's, in one gradient step of the
    discriminator."""
    discriminator_update_times: Annotated[int, Field(gt=0), Choice((1, 2, 5))] = 1
    """Epochs of the discriminator: how many times it goes through each rollout."""
    discriminator_learning_rate: Annotated[
        float, Field(gt=0), Float(1e-5, 1e-2, log=True), Traced()
    ] = 1e-3
    """Step size of the discriminator's optimizer."""
    expert_trajectory_path: str = "trajectory.data"
    """The expert's episodes, a file that `sweeprl evaluate --save-trajectories` wrote; relative to
    the working directory."""
    expert_replay_size: Annotated[int, Field(gt=0)] = 500_000
    """Most steps of the expert that are kept, the first ones of the file."""
    expert_replay_device: str = "cpu"
    """Torch device that keeps them."""
    expert_replay_buffer: None = None
    """Kept for configs of the predecessor; only null, the buffer is the engine's own."""
    visualize: Annotated[bool, Inert()] = False
    """Kept for configs of the predecessor; has no effect."""
    visualize_dir: Annotated[str, Inert()] = ""
    """Kept for configs of the predecessor; has no effect."""

    @model_validator(mode="after")
    def _rewards_are_the_discriminators(self) -> Self:
        if self.experience.normalize_reward:
            raise ValueError(
                f"`{self.policy_section}.normalize_reward` must be false, but got true: it scales "
                "the environment's rewards, which GAIL does not use. `normalize_advantage` makes "
                "up for the scale of the discriminator's."
            )
        return self

    @property
    def policy_section(self) -> str:
        """The nested config that is used."""
        return f"{self.constrained_policy_optimization}_config"

    @property
    def experience(self) -> ActorCriticConfig:
        """The policy's config."""
        config: ActorCriticConfig = getattr(self, self.policy_section)
        return config

    @property
    def sections(self) -> dict[str, FrameConfig]:
        """The policy's config alone."""
        return {self.policy_section: self.experience}

    def check(self, num_envs: int) -> None:
        """Refuses what the policy's config does, and a batch larger than the rollout."""
        super().check(num_envs)
        if self.batch_size > self.experience.rollout_steps * num_envs:
            raise ValueError(
                f"`batch_size <= {self.policy_section}.rollout_steps * num_envs` must hold, but "
                f"got batch_size={self.batch_size}, rollout_steps={self.experience.rollout_steps}, "
                f"num_envs={num_envs}."
            )


class GAIL(RolloutFrame):
    """Generative adversarial imitation learning. Discrete, multi-discrete, continuous actions."""

    Config = GAILConfig
    config: GAILConfig
    actions = (Discrete, MultiDiscrete, Continuous)

    def __init__(
        self, config: FrameConfig, spec: EnvSpec, resolver: Resolver | None = None
    ) -> None:
        super().__init__(config, spec, resolver)
        kind = _POLICIES[self.config.constrained_policy_optimization]
        self.policy = kind(self.config.experience, spec, self.resolver)
        """The frame that improves the policy."""
        self.roles = (*self.policy.roles, Role("discriminator", "Discriminator"))
        self._prefix = f"{self.config.policy_section}."

    @cached_property
    def demonstrations(self) -> Mapping[str, Tensor]:
        """What the expert did, on `expert_replay_device`."""
        config, key = self.config, "frame_config.expert_trajectory_path"
        expert = Trajectories.load(Path(config.expert_trajectory_path), self.spec, key)
        kept = {"state": expert.state, "action": expert.action}
        try:
            return {
                name: values[: config.expert_replay_size].to(config.expert_replay_device)
                for name, values in kept.items()
            }
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"frame_config.expert_replay_device must be a torch device with room for "
                f"{len(expert.state)} steps, but got '{config.expert_replay_device}': {reason}. "
                'Set it to "cpu".'
            ) from error

    # ---- networks

    def network_spec(self, role: Role) -> EnvSpec:
        """Of the discriminator, with one real for each option of a choice."""
        if role in self.policy.roles:
            return self.policy.network_spec(role)
        width = self.spec.action.num_outputs
        return EnvSpec(self.spec.observation_size, Continuous(width), self.spec.name)

    def default_network(self, role: Role) -> type[nn.Module]:
        """A multilayer perceptron for the discriminator, else what the policy's frame has."""
        is_own = role not in self.policy.roles
        return Discriminator if is_own else self.policy.default_network(role)

    def settings_of(self, role: Role) -> tuple[Any, list[Any], dict[str, Any]]:
        """Of the nested config, but for the discriminator."""
        if role in self.policy.roles:
            return self.policy.settings_of(role)
        config = self.config
        return config.models[0], config.model_args[0], config.model_kwargs[0]

    def play(self, networks: Networks, role: Role, state: Tensor) -> Any:
        """The discriminator judges actions that are 0."""
        if role in self.policy.roles:
            return self.policy.play(networks, role, state)
        action = state.new_zeros(len(state), self.spec.action.num_outputs)
        return networks.discriminator(state=state, action=action)

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether the discriminator returns one number, and the others what the policy needs."""
        is_own = role not in self.policy.roles
        return super().fits(role, output) if is_own else self.policy.fits(role, output)

    def contract(self, role: Role) -> str:
        """What the networks take and return."""
        if role in self.policy.roles:
            return self.policy.contract(role)
        return (
            "A discriminator must take `state` (B, D) and `action` "
            f"(B, {self.spec.action.num_outputs}), choices one-hot, and return the log-odds that "
            "they are the expert's (B, 1), not a probability."
        )

    # ---- acting

    @property
    def action_noise(self) -> int:
        """That of the policy's frame."""
        return self.policy.action_noise

    def act(
        self,
        networks: Networks,
        state: Tensor,
        noise: Tensor,
        hp: Hyperparameters,
        step: Tensor,
        *,
        greedy: bool = False,
    ) -> Tensor:
        """As the policy's frame does."""
        return self.policy.act(networks, state, noise, self._settings(hp), step, greedy=greedy)

    # ---- learning

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The discriminator's cross entropy, and the losses of the policy's frame."""
        loss = Loss(
            "discriminator_loss",
            {"discriminator": "discriminator_learning_rate"},
            self.discriminator_loss,
            passes=self.config.discriminator_update_times,
        )
        return (loss, *map(self._of_policy, self.policy.losses))

    def _of_policy(self, loss: Loss) -> Loss:
        """A loss of the policy's frame, given the policy's settings."""
        return replace(
            loss,
            function=self._with_settings(loss.function),
            step=loss.step and self._with_settings(loss.step),
            section=self._prefix,
        )

    def _with_settings(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """A rule of the policy's frame, given the policy's settings as its last argument."""
        return lambda *args: rule(*args[:-1], self._settings(args[-1]))

    def _settings(self, hp: Hyperparameters) -> Hyperparameters:
        """The policy's settings, as its frame calls them."""
        prefix = self._prefix
        return {k.removeprefix(prefix): v for k, v in hp.items() if k.startswith(prefix)}

    def prepare(self, networks: Networks, rollout: Batch, hp: Hyperparameters) -> dict[str, Tensor]:
        """Rewards in place of the environment's, and what the policy's frame makes of them."""
        flat = {key: rollout[key].flatten(0, 1) for key in ("state", "action")}
        logit = self.logit(networks, flat["state"], flat["action"])
        reward = imitation_reward(logit).reshape(rollout["reward"].shape)
        own = self.policy.prepare(networks, {**rollout, "reward": reward}, self._settings(hp))
        return {**own, "reward": reward}

    def logit(self, networks: Networks, state: Tensor, action: Tensor) -> Tensor:
        """Log-odds `(B,)` that what was done in states `(B, D)` is the expert's."""
        logit: Tensor = networks.discriminator(state=state, action=self.encoded(action))
        return logit.reshape(len(state))

    def encoded(self, action: Tensor) -> Tensor:
        """Actions as the discriminator is given them, `(B, A)`: one-hot, or clipped to [-1, 1]."""
        spec = self.spec.action
        if isinstance(spec, Continuous):
            return action.clamp(-1.0, 1.0)
        nums = (spec.num,) if isinstance(spec, Discrete) else spec.nums
        choices = action.reshape(-1, len(nums)).unbind(-1)
        return torch.cat([_one_hot(c, num) for c, num in zip(choices, nums, strict=True)], -1)

    def discriminator_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross entropy, and the mean chance to be the expert's that D gives to both."""
        weight = batch["weight"]
        agent = self.logit(networks, batch["state"], batch["action"])
        expert = self.logit(networks, batch["expert_state"], batch["expert_action"])
        chances = {"chance_of_agent": agent, "chance_of_expert": expert}
        logs = {
            name: weighted_mean(logit.detach().sigmoid(), weight) for name, logit in chances.items()
        }
        return weighted_mean(discriminator_loss(agent, expert), weight), logs


def _one_hot(choice: Tensor, num: int) -> Tensor:
    return (choice.unsqueeze(-1) == torch.arange(num, device=choice.device)).float()
