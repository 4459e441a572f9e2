"""PPO: policy gradients with a clipped surrogate objective and generalized advantage estimation.

Schulman et al. 2017, Proximal Policy Optimization Algorithms, algorithm 1, https://arxiv.org/abs/1707.06347.

Differs from the paper:
    Actor and critic are separate networks with an optimizer each, so the value coefficient scales
    only the critic's gradient before it is clipped. Advantages are normalised in each minibatch
    (Huang et al. 2022, The 37 Implementation Details of PPO, https://iclr-blog-track.github.io/2022/03/25/ppo-implementation-details/,
    detail 7). Of the other details there, orthogonal initialisation is in the default networks;
    the value loss is not clipped; learning rates stay constant unless `lr_scheduler` says
    otherwise.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from sweeprl.config import Float, Traced
from sweeprl.frames._actor_critic import ActorCritic, ActorCriticConfig
from sweeprl.frames._base import Batch, Hyperparameters
from sweeprl.functional import clipped_surrogate

__all__ = ["PPO", "PPOConfig"]


class PPOConfig(ActorCriticConfig):
    """Settings of PPO."""

    surrogate_loss_clip: Annotated[float, Field(gt=0), Float(0.1, 0.4), Traced()] = 0.2
    """How far the probability ratio may move from 1 with gain."""


class PPO(ActorCritic):
    """Proximal policy optimization. Discrete, multi-discrete and continuous actions."""

    Config = PPOConfig
    config: PPOConfig

    def gain(
        self, log_prob: Tensor, batch: Batch, advantage: Tensor, hp: Hyperparameters
    ) -> Tensor:
        """The clipped surrogate, equation 7 of the paper."""
        return clipped_surrogate(log_prob, batch["log_prob"], advantage, hp["surrogate_loss_clip"])
