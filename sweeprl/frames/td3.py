"""TD3: DDPG with twin critics, smoothed targets and a delayed actor.

Fujimoto, van Hoof and Meger 2018, Addressing Function Approximation Error in Actor-Critic Methods,
algorithm 1, https://arxiv.org/abs/1802.09477.

Differs from the paper:
    As DDPG differs from its own, but for the networks, which are the paper's kind. With discrete
    actions the noise that smooths is added to probabilities.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from sweeprl.config import Choice, ClassRef, Float, Masked, Traced
from sweeprl.frames._base import Batch, Hyperparameters, Loss, Networks, Role
from sweeprl.frames.ddpg import DDPG, DDPGConfig
from sweeprl.functional import smoothing_noise, td_target, weighted_mean

__all__ = ["TD3", "TD3Config"]


class TD3Config(DDPGConfig):
    """Settings of TD3."""

    models: list[ClassRef] = ["Actor", "Actor", "Critic", "Critic", "Critic", "Critic"]
    model_args: list[list[Any]] = [[], [], [], [], [], []]
    model_kwargs: list[dict[str, Any]] = [{}, {}, {}, {}, {}, {}]
    policy_delay: Annotated[int, Field(gt=0), Choice((1, 2, 3, 4)), Masked()] = 2
    """Updates of the critics for one of the actor, after which the target networks follow."""
    target_noise: Annotated[float, Field(ge=0), Float(0.0, 0.5), Traced()] = 0.2
    """Deviation of the noise on the target actor's actions, which span [-1, 1]; 0 is none."""
    target_noise_clip: Annotated[float, Field(ge=0), Float(0.0, 1.0), Traced()] = 0.5
    """Largest size of that noise."""


class TD3(DDPG):
    """Twin delayed DDPG. Continuous actions, discrete ones by probabilities."""

    Config = TD3Config
    config: TD3Config
    roles: tuple[Role, ...] = (
        *DDPG.roles,
        Role("critic2", "Critic"),
        Role("critic2_target", "Critic", follows="critic2"),
    )
    follow_every = "policy_delay"

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Twin critics in every update; the actor once in `policy_delay`."""
        critics = {"critic": "critic_learning_rate", "critic2": "critic_learning_rate"}
        actor = {"actor": "actor_learning_rate"}
        return (
            Loss("critic_loss", critics, self.critic_loss, is_noisy=True),
            Loss("actor_loss", actor, self.actor_loss, every="policy_delay"),
        )

    @property
    def loss_noise(self) -> int:
        """One number for each that the actor returns."""
        return self.width

    def critic_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the twin critics' temporal-difference errors."""
        with torch.no_grad():
            target = self.target(networks, batch, hp)
        state, action = batch["state"], self.taken(batch)
        q_1 = self.value(networks.critic, state, action)
        q_2 = self.value(networks.critic2, state, action)
        error = self.error(q_1, target, hp) + self.error(q_2, target, hp)
        weight = batch["weight"]
        return weighted_mean(error, weight), {"q_value": weighted_mean(q_1.detach(), weight)}

    def target(self, networks: Networks, batch: Batch, hp: Hyperparameters) -> Tensor:
        """Reward and the smaller discounted value of a smoothed next action, `(B,)`.

        Equation 10 and section 5.3 of the paper.
        """
        state = batch["next_state"]
        noise = smoothing_noise(batch["noise"], hp["target_noise"], hp["target_noise_clip"])
        action = self.near(networks.actor_target(state=state) + noise)
        q_1 = self.value(networks.critic_target, state, action)
        q_2 = self.value(networks.critic2_target, state, action)
        discount_t = hp["discount"] * (1 - batch["terminated"])
        return td_target(batch["reward"], discount_t, torch.minimum(q_1, q_2))
