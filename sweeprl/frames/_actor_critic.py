"""What on-policy frames with an actor and a critic share.

They differ in what the actor is to increase, and in how.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from sweeprl.config import (
    Choice,
    ClassRef,
    Continuous,
    Discrete,
    EnvSpec,
    Float,
    FrameConfig,
    MultiDiscrete,
    OneMinus,
    RolloutConfig,
    Traced,
)
from sweeprl.frames._base import (
    Batch,
    Hyperparameters,
    Loss,
    Networks,
    Role,
    RolloutFrame,
    actor_fits,
)
from sweeprl.functional import gae, standardized, weighted_mean
from sweeprl.networks import CategoricalActor, GaussianActor, Resolver, ValueCritic

__all__ = ["ActorCritic", "ActorCriticConfig"]


class ActorCriticConfig(RolloutConfig):
    """Settings of every frame with an actor and a critic."""

    models: list[ClassRef] = ["Actor", "Critic"]
    model_args: list[list[Any]] = [[], []]
    model_kwargs: list[dict[str, Any]] = [{}, {}]
    criterion: ClassRef = "MSELoss"
    """Loss of the value error: a class, its importable name, or its name in `torch.nn`."""
    criterion_args: list[Any] = []
    """Positional constructor arguments of the criterion."""
    criterion_kwargs: dict[str, Any] = {}
    """Keyword constructor arguments of the criterion."""
    actor_update_times: Annotated[int, Field(gt=0), Choice((1, 5, 10, 20))] = 5
    """Epochs: how many times the actor goes through each rollout, in minibatches of
    `batch_size`."""
    critic_update_times: Annotated[int, Field(gt=0), Choice((1, 5, 10, 20))] = 10
    """Epochs of the critic."""
    actor_learning_rate: Annotated[float, Field(gt=0), Float(1e-5, 2e-3, log=True), Traced()] = 1e-3
    """Step size of the actor's optimizer."""
    critic_learning_rate: Annotated[float, Field(gt=0), Float(1e-5, 2e-3, log=True), Traced()] = (
        1e-3
    )
    """Step size of the critic's optimizer."""
    entropy_weight: Annotated[float | None, Field(ge=0), Float(1e-8, 0.1, log=True), Traced()] = (
        None
    )
    """Weight of the entropy bonus; null is 0."""
    value_weight: Annotated[float, Field(gt=0), Float(0.1, 1.0), Traced()] = 0.5
    """Weight of the value loss."""
    gae_lambda: Annotated[float, Field(ge=0, le=1), OneMinus(1e-4, 0.1), Traced()] = 1.0
    """Trace parameter of generalized advantage estimation."""
    normalize_advantage: bool = True
    """Whether advantages are shifted and scaled to mean 0 and deviation 1 in each minibatch."""


class ActorCritic(RolloutFrame):
    """An actor that is improved along advantages, and a critic that estimates them."""

    Config = ActorCriticConfig
    config: ActorCriticConfig
    roles = (Role("actor", "Actor"), Role("critic", "Critic"))
    actions = (Discrete, MultiDiscrete, Continuous)

    def __init__(
        self, config: FrameConfig, spec: EnvSpec, resolver: Resolver | None = None
    ) -> None:
        super().__init__(config, spec, resolver)
        self.criterion = self.resolver.criterion(
            self.config.criterion, self.config.criterion_args, self.config.criterion_kwargs
        )

    def default_network(self, role: Role) -> type[nn.Module]:
        """A multilayer perceptron: scalar for the critic, else Gaussian or categorical."""
        if role.name == "critic":
            return ValueCritic
        return GaussianActor if isinstance(self.spec.action, Continuous) else CategoricalActor

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The actor's objective and the value error.

        They are one sum where both go through the rollout equally often.
        """
        actor, critic = {"actor": "actor_learning_rate"}, {"critic": "critic_learning_rate"}
        actor_times, critic_times = self.config.actor_update_times, self.config.critic_update_times
        if actor_times == critic_times:
            return (Loss("loss", actor | critic, self.joint_loss, passes=actor_times),)
        return (
            Loss("actor_loss", actor, self.actor_loss, passes=actor_times),
            Loss("critic_loss", critic, self.critic_loss, passes=critic_times),
        )

    @abstractmethod
    def gain(
        self, log_prob: Tensor, batch: Batch, advantage: Tensor, hp: Hyperparameters
    ) -> Tensor:
        """What the actor is to increase.

        Args:
            log_prob: of the actions, under the policy as it is now, `(B,)`.
            batch: the minibatch; its `log_prob` is that under the policy that acted.
            advantage: normalised if the config says so, `(B,)`.
            hp: the lane's traced settings.

        Returns:
            `(B,)`
        """

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
        """Draws from the policy, or takes its mode."""
        action: Tensor = networks.actor(state=state, noise=noise, greedy=greedy)[0]
        return action

    def prepare(self, networks: Networks, rollout: Batch, hp: Hyperparameters) -> dict[str, Tensor]:
        """Log-probabilities of what was done, advantages, and the returns to be learned."""
        flat = {key: value.flatten(0, 1) for key, value in rollout.items()}
        shape = rollout["reward"].shape
        _, log_prob, _ = networks.actor(state=flat["state"], action=flat["action"])
        v_tm1 = networks.critic(state=flat["state"]).reshape(shape)
        v_t = networks.critic(state=flat["next_state"]).reshape(shape)
        over = torch.maximum(rollout["terminated"], rollout["truncated"])
        discount_t = hp["discount"] * (1 - rollout["terminated"])
        lambda_t = hp["gae_lambda"] * (1 - over)
        advantage = gae(rollout["reward"], discount_t, lambda_t, v_tm1, v_t)
        return {
            "log_prob": log_prob.reshape(shape),
            "advantage": advantage,
            "return": advantage + v_tm1,
        }

    def actor_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative mean of the gain and of the entropy bonus."""
        weight = batch["weight"]
        _, log_prob, entropy = networks.actor(state=batch["state"], action=batch["action"])
        log_prob, entropy = log_prob.reshape(weight.shape), entropy.reshape(weight.shape)
        gain = self.gain(log_prob, batch, self.advantage(batch), hp)
        if self.config.entropy_weight is not None:
            gain = gain + hp["entropy_weight"] * entropy
        logs = {"entropy": weighted_mean(entropy.detach(), weight)}
        return -weighted_mean(gain, weight), logs

    def advantage(self, batch: Batch) -> Tensor:
        """Advantages `(B,)` as the actor is given them."""
        if not self.config.normalize_advantage:
            return batch["advantage"]
        return standardized(batch["advantage"], batch["weight"])

    def critic_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Weighted criterion of the value error."""
        value = networks.critic(state=batch["state"]).reshape(batch["return"].shape)
        error = self.criterion(value, batch["return"]).expand_as(value)
        return hp["value_weight"] * weighted_mean(error, batch["weight"]), {}

    def joint_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Both losses in one; neither has a gradient in the other's network."""
        actor_loss, logs = self.actor_loss(networks, batch, hp)
        critic_loss, _ = self.critic_loss(networks, batch, hp)
        parts = {"actor_loss": actor_loss.detach(), "critic_loss": critic_loss.detach()}
        return actor_loss + critic_loss, parts | logs

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether the actor returns a stochastic action, and the critic one value."""
        return actor_fits(self.spec, output) if role.name == "actor" else super().fits(role, output)

    def contract(self, role: Role) -> str:
        """What actor and critic take and return."""
        if role.name == "critic":
            return super().contract(role)
        return (
            "An actor must take `state` (B, D) and optionally `action`, and return the action "
            f"(B, {self.spec.action.size}), its log-probability (B,) and the entropy (B,)."
        )
