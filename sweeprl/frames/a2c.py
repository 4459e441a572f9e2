"""A2C: advantage actor-critic, synchronous, with generalized advantage estimation.

Mnih et al. 2016, Asynchronous Methods for Deep Reinforcement Learning, algorithm S3,
https://arxiv.org/abs/1602.01783.

Differs from the paper:
    Copies of the environment are stepped together and learned from together, instead of by
    asynchronous workers. Actor and critic are separate networks with an optimizer each, Adam by
    default. With `gae_lambda` 1 the advantages are the paper's returns up to the rollout's end.
    They are normalised unless `normalize_advantage` is false. With `actor_update_times` above 1,
    or a `batch_size` below the rollout's size, the actor makes several steps on one rollout, and
    those after the first are no longer on-policy; 1 and the rollout's size are the paper's.
"""

from __future__ import annotations

from torch import Tensor

from sweeprl.frames._actor_critic import ActorCritic, ActorCriticConfig
from sweeprl.frames._base import Batch, Hyperparameters

__all__ = ["A2C", "A2CConfig"]


class A2CConfig(ActorCriticConfig):
    """Settings of A2C."""


class A2C(ActorCritic):
    """Advantage actor-critic. Discrete, multi-discrete and continuous actions."""

    Config = A2CConfig
    config: A2CConfig

    def gain(
        self, log_prob: Tensor, batch: Batch, advantage: Tensor, hp: Hyperparameters
    ) -> Tensor:
        """Log-probability times advantage, whose gradient is the policy gradient."""
        return log_prob * advantage
