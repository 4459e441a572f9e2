"""DDPG: a deterministic actor that climbs the value its critic sees, with target networks.

Lillicrap et al. 2016, Continuous control with deep reinforcement learning, algorithm 1,
https://arxiv.org/abs/1509.02971.

Differs from the paper:
    Exploration adds independent normal noise unless `act_kwargs` name another kind, and is uniform
    during the warm-up. Networks are plain multilayer perceptrons without batch normalization, the
    action enters the critic's first layer, and the critic's weights do not decay. Discrete actions
    are served through their probabilities. Updates come in rounds after each episode
    (`collect_steps`), `updates_per_step` for each environment step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from sweeprl.config import (
    ClassRef,
    Continuous,
    Discrete,
    EnvSpec,
    Float,
    FrameConfig,
    ReplayConfig,
    Traced,
)
from sweeprl.frames._base import Batch, Hyperparameters, Loss, Networks, ReplayFrame, Role
from sweeprl.frames._exploration import carried_noise, exploration_noise
from sweeprl.functional import as_probabilities, categorical_sample, td_target, weighted_mean
from sweeprl.networks import DeterministicActor, ProbabilityActor, QCritic, Resolver

__all__ = ["DDPG", "DDPGConfig"]


class DDPGConfig(ReplayConfig):
    """Settings of DDPG."""

    models: list[ClassRef] = ["Actor", "Actor", "Critic", "Critic"]
    model_args: list[list[Any]] = [[], [], [], []]
    model_kwargs: list[dict[str, Any]] = [{}, {}, {}, {}]
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
    """Step size of the critic's optimizer."""


class DDPG(ReplayFrame):
    """Deep deterministic policy gradients. Continuous actions, discrete ones by probabilities."""

    Config = DDPGConfig
    config: DDPGConfig
    roles: tuple[Role, ...] = (
        Role("actor", "Actor"),
        Role("actor_target", "Actor", follows="actor"),
        Role("critic", "Critic"),
        Role("critic_target", "Critic", follows="critic"),
    )
    actions = (Continuous, Discrete)

    def __init__(
        self, config: FrameConfig, spec: EnvSpec, resolver: Resolver | None = None
    ) -> None:
        super().__init__(config, spec, resolver)
        self.is_discrete = isinstance(spec.action, Discrete)
        self.width = spec.action.num if isinstance(spec.action, Discrete) else spec.action.size
        self.criterion = self.resolver.criterion(
            self.config.criterion, self.config.criterion_args, self.config.criterion_kwargs
        )

    @property
    def network_spec(self) -> EnvSpec:
        """With as many reals for an action as the actor returns: one for each discrete action."""
        return EnvSpec(self.spec.observation_size, Continuous(self.width), self.spec.name)

    def default_network(self, role: Role) -> type[nn.Module]:
        """A multilayer perceptron."""
        if not role.name.startswith("actor"):
            return QCritic
        return ProbabilityActor if self.is_discrete else DeterministicActor

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The temporal-difference error; then the value of the actor's own actions."""
        return (
            Loss("critic_loss", {"critic": "critic_learning_rate"}, self.critic_loss),
            Loss("actor_loss", {"actor": "actor_learning_rate"}, self.actor_loss),
        )

    # ---- acting

    @property
    def action_noise(self) -> int:
        """One number for each that the actor returns, and one to draw a discrete action."""
        return self.width + self.is_discrete

    @property
    def action_memory(self) -> int:
        """Where correlated noise is."""
        return self.width

    def carry(self, memory: Tensor, noise: Tensor, act_kwargs: Mapping[str, Any]) -> Tensor:
        """Moves correlated noise on."""
        mode, noise_param = act_kwargs.get("mode", "normal"), act_kwargs.get("noise_param")
        return carried_noise(mode, noise_param, memory, noise[..., : self.width])

    def act(
        self,
        networks: Networks,
        state: Tensor,
        noise: Tensor,
        hp: Hyperparameters,
        step: Tensor,
        *,
        greedy: bool = False,
        mode: str = "normal",
        noise_param: Any = None,
        ratio: float = 1.0,
    ) -> Tensor:
        """Adds noise of a kind, times `ratio`, or acts uniformly at random during the warm-up."""
        action: Tensor = networks.actor(state=state)
        if greedy:
            return action.argmax(-1) if self.is_discrete else action
        white, carried = noise[..., : self.width], noise[..., self.action_noise :]
        noisy = self.near(action + ratio * exploration_noise(mode, noise_param, white, carried))
        is_warming_up = step < hp["warmup_steps"]
        if not self.is_discrete:
            return torch.where(is_warming_up, 2 * torch.special.ndtr(white) - 1, noisy)
        p = torch.where(is_warming_up, 1 / self.width, noisy)
        return categorical_sample(p.log(), noise[..., self.width])

    def near(self, action: Tensor) -> Tensor:
        """The action next to numbers `(..., A)` that may lie outside its space."""
        return as_probabilities(action) if self.is_discrete else action.clamp(-1.0, 1.0)

    # ---- learning

    def critic_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean criterion of the temporal-difference error, equation 4 of the paper."""
        q, target = self.values(networks, batch, hp)
        loss = weighted_mean(self.error(q, target, hp), batch["weight"])
        return loss, {"q_value": weighted_mean(q.detach(), batch["weight"])}

    def values(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, Tensor]:
        """What the critic says of the actions taken, `(B,)`, and what it should say."""
        with torch.no_grad():
            target = self.target(networks, batch, hp)
        return self.value(networks.critic, batch["state"], self.taken(batch)), target

    def target(self, networks: Networks, batch: Batch, hp: Hyperparameters) -> Tensor:
        """Reward and discounted value of the target actor's next action, `(B,)`."""
        state = batch["next_state"]
        v_t = self.value(networks.critic_target, state, networks.actor_target(state=state))
        return td_target(batch["reward"], hp["discount"] * (1 - batch["terminated"]), v_t)

    def error(self, q: Tensor, target: Tensor, hp: Hyperparameters) -> Tensor:
        """Criterion of each value's distance to its target, `(B,)`."""
        error: Tensor = self.criterion(q, target)
        return error.expand_as(target)

    def actor_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative value of the actor's own actions, whose gradient is that of equation 6."""
        state = batch["state"]
        q = self.value(networks.critic, state, networks.actor(state=state))
        return -weighted_mean(q, batch["weight"]), {}

    def value(self, critic: Any, state: Tensor, action: Tensor) -> Tensor:
        """What a critic says of actions `(B, A)`, `(B,)`."""
        value: Tensor = critic(state=state, action=action)
        return value.squeeze(-1)

    def taken(self, batch: Batch) -> Tensor:
        """Actions that were taken `(B, A)`, discrete ones as probabilities, one of them 1."""
        action = batch["action"]
        if not self.is_discrete:
            return action
        numbers = torch.arange(self.width, device=action.device)
        return (action.unsqueeze(-1) == numbers).float()

    # ---- what networks have to be

    def play(self, networks: Networks, role: Role, state: Tensor) -> Any:
        """Critics judge a state and an action."""
        if role.name.startswith("actor"):
            return super().play(networks, role, state)
        action = torch.zeros(len(state), self.width)
        return getattr(networks, role.name)(state=state, action=action)

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether an actor returns an action, or probabilities, and a critic one value."""
        if not role.name.startswith("actor"):
            return super().fits(role, output)
        action = output[0]
        if len(output) > 1 or not isinstance(action, Tensor) or action.shape != (2, self.width):
            return False
        is_sound = (action.sum(-1) - 1).abs() < 1e-3 if self.is_discrete else action.abs() <= 1
        return bool(is_sound.all())

    def contract(self, role: Role) -> str:
        """What actor and critics take and return."""
        size = self.width
        if not role.name.startswith("actor"):
            return f"A critic must take `state` (B, D) and `action` (B, {size}) and return (B, 1)."
        what = "probabilities, which sum to 1," if self.is_discrete else "an action inside [-1, 1]"
        return f"An actor must take `state` (B, D) and return {what} (B, {size})."
