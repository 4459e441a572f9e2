"""SAC: soft actor-critic with twin critics and an automatic temperature.

Haarnoja et al. 2018, Soft Actor-Critic Algorithms and Applications, algorithm 1, https://arxiv.org/abs/1812.05905.

Differs from the paper:
    The temperature is updated together with the actor, from the same sample. With `target_entropy`
    null the target is minus the number of action components, as in the paper's appendix D. Updates
    come in rounds after each episode (`collect_steps`), `updates_per_step` for each environment
    step.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from sweeprl.config import (
    ClassRef,
    Continuous,
    EnvSpec,
    Float,
    FrameConfig,
    ReplayConfig,
    Traced,
)
from sweeprl.frames._base import (
    Batch,
    Hyperparameters,
    Loss,
    Networks,
    ReplayFrame,
    Role,
    actor_fits,
)
from sweeprl.functional import soft_value, td_target, weighted_mean
from sweeprl.networks import QCritic, Resolver, SquashedGaussianActor

__all__ = ["SAC", "SACConfig", "Temperature"]


class SACConfig(ReplayConfig):
    """Settings of SAC."""

    models: list[ClassRef] = ["Actor", "Critic", "Critic", "Critic", "Critic"]
    model_args: list[list[Any]] = [[], [], [], [], []]
    model_kwargs: list[dict[str, Any]] = [{}, {}, {}, {}, {}]
    criterion: ClassRef = "MSELoss"
    """Loss of the temporal-difference error: a class, its importable name, or its name in
    `torch.nn`."""
    criterion_args: list[Any] = []
    """Positional constructor arguments of the criterion."""
    criterion_kwargs: dict[str, Any] = {}
    """Keyword constructor arguments of the criterion."""
    update_rate: Annotated[
        float | None, Field(gt=0, le=1), Float(1e-3, 0.08, log=True), Traced()
    ] = 0.001
    """Share of the online network that a target network takes on after every update (Polyak
    averaging)."""
    actor_learning_rate: Annotated[float, Field(gt=0), Float(1e-5, 2e-3, log=True), Traced()] = 5e-4
    """Step size of the actor's optimizer."""
    critic_learning_rate: Annotated[float, Field(gt=0), Float(1e-5, 2e-3, log=True), Traced()] = (
        1e-3
    )
    """Step size of the critics' optimizer."""
    alpha_learning_rate: Annotated[float, Field(gt=0), Float(1e-5, 2e-3, log=True), Traced()] = 1e-3
    """Step size of the temperature's optimizer."""
    initial_entropy_alpha: Annotated[float, Field(gt=0), Float(1e-3, 1.0, log=True), Traced()] = 1.0
    """Temperature at the start, in units of reward per nat."""
    target_entropy: Annotated[float | None, Float(-20.0, 0.0), Traced()] = None
    """Entropy in nats that the temperature steers to; null is minus the number of action
    components."""


class Temperature(nn.Module):
    """The weight of entropy against reward, kept as its logarithm.

    Args:
        initial: its value at the start.
    """

    def __init__(self, initial: float) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(initial)))

    def forward(self) -> Tensor:
        """Returns the logarithm of the temperature, a scalar."""
        return self.log_alpha


class SAC(ReplayFrame):
    """Soft actor-critic with twin critics and automatic temperature. Continuous actions."""

    Config = SACConfig
    config: SACConfig
    roles = (
        Role("actor", "Actor"),
        Role("critic", "Critic"),
        Role("critic_target", "Critic", follows="critic"),
        Role("critic2", "Critic"),
        Role("critic2_target", "Critic", follows="critic2"),
    )
    actions = (Continuous,)

    def __init__(
        self, config: FrameConfig, spec: EnvSpec, resolver: Resolver | None = None
    ) -> None:
        super().__init__(config, spec, resolver)
        self.criterion = self.resolver.criterion(
            self.config.criterion, self.config.criterion_args, self.config.criterion_kwargs
        )

    def default_network(self, role: Role) -> type[nn.Module]:
        """A multilayer perceptron."""
        return SquashedGaussianActor if role.name == "actor" else QCritic

    def own_networks(self) -> dict[str, nn.Module]:
        """The temperature."""
        return {"temperature": Temperature(self.config.initial_entropy_alpha)}

    def hyperparameters(self) -> dict[str, float]:
        """The traced settings, `target_entropy` filled in."""
        values = super().hyperparameters()
        if self.config.target_entropy is None:
            values["target_entropy"] = -float(self.spec.action.size)
        return values

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Twin critics; then actor and temperature, which share a sample."""
        critics = {"critic": "critic_learning_rate", "critic2": "critic_learning_rate"}
        actor = {"actor": "actor_learning_rate", "temperature": "alpha_learning_rate"}
        return (
            Loss("critic_loss", critics, self.critic_loss, is_noisy=True),
            Loss("actor_loss", actor, self.actor_loss, is_noisy=True),
        )

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
        """Draws from the policy, or uniformly during the warm-up, or takes the policy's mean."""
        action: Tensor = networks.actor(state=state, noise=noise, greedy=greedy)[0]
        if greedy:
            return action
        random = 2 * torch.special.ndtr(noise) - 1
        return torch.where(step < hp["warmup_steps"], random, action)

    def critic_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the twin critics' soft temporal-difference errors, equation 5 of the paper."""
        with torch.no_grad():
            state = batch["next_state"]
            action, log_prob = self.sample(networks, state, batch["noise"])
            q_1 = networks.critic_target(state=state, action=action).squeeze(-1)
            q_2 = networks.critic2_target(state=state, action=action).squeeze(-1)
            v_t = soft_value(q_1, q_2, log_prob, networks.temperature().exp())
            discount_t = hp["discount"] * (1 - batch["terminated"])
            target = td_target(batch["reward"], discount_t, v_t)
        q_1 = networks.critic(state=batch["state"], action=batch["action"]).squeeze(-1)
        q_2 = networks.critic2(state=batch["state"], action=batch["action"]).squeeze(-1)
        error = (self.criterion(q_1, target) + self.criterion(q_2, target)).expand_as(target)
        weight = batch["weight"]
        return weighted_mean(error, weight), {"q_value": weighted_mean(q_1.detach(), weight)}

    def actor_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Raises the soft value of the policy's own actions, and pulls its entropy to the target.

        Equations 9 and 18 of the paper; neither has a gradient in the other's parameters, so their
        sum is both.
        """
        state, weight = batch["state"], batch["weight"]
        action, log_prob = self.sample(networks, state, batch["noise"])
        q_1 = networks.critic(state=state, action=action).squeeze(-1)
        q_2 = networks.critic2(state=state, action=action).squeeze(-1)
        log_alpha = networks.temperature()
        alpha = log_alpha.detach().exp()
        value = weighted_mean(soft_value(q_1, q_2, log_prob, alpha), weight)
        entropy = -weighted_mean(log_prob.detach(), weight)
        surplus = hp["target_entropy"] - entropy
        return -value - log_alpha * surplus, {"alpha": alpha, "entropy": entropy}

    def sample(self, networks: Networks, state: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draws an action `(B, A)` and its log-density `(B,)` for each state."""
        action, log_prob, _ = networks.actor(state=state, noise=noise)
        return action.reshape(noise.shape), log_prob.reshape(noise.shape[:1])

    def play(self, networks: Networks, role: Role, state: Tensor) -> Any:
        """Critics judge a state and an action."""
        if role.name == "actor":
            return super().play(networks, role, state)
        action = torch.zeros(len(state), self.spec.action.size)
        return getattr(networks, role.name)(state=state, action=action)

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether the actor returns action and log-density, and a critic one value."""
        return actor_fits(self.spec, output) if role.name == "actor" else super().fits(role, output)

    def contract(self, role: Role) -> str:
        """What actor and critics take and return."""
        size = self.spec.action.size
        if role.name == "actor":
            return (
                f"An actor must take `state` (B, D) and return the action (B, {size}) inside "
                "(-1, 1), "
                "its log-density (B,) and an entropy (B,)."
            )
        return f"A critic must take `state` (B, D) and `action` (B, {size}) and return (B, 1)."
