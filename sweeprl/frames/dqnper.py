"""DQNPer: deep Q-learning that replays by priority.

Schaul et al. 2016, Prioritized Experience Replay, algorithm 1 with proportional priorities,
https://arxiv.org/abs/1511.05952.

Differs from the paper:
    As DQN differs from its own. The exponent of the importance weights reaches 1 after
    `priority_beta_steps` environment steps, not at the end of training. Importance weights are
    divided by the largest in their batch.
"""

from __future__ import annotations

from torch import Tensor

from sweeprl.config import PrioritizedConfig
from sweeprl.frames._base import Batch, Hyperparameters, Networks
from sweeprl.frames.dqn import DQN, DQNConfig
from sweeprl.functional import weighted_mean

__all__ = ["DQNPer", "DQNPerConfig"]


class DQNPerConfig(DQNConfig, PrioritizedConfig):
    """Settings of DQNPer."""


class DQNPer(DQN):
    """Deep Q-learning with prioritized replay. Discrete actions."""

    Config = DQNPerConfig
    config: DQNPerConfig

    def q_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean criterion of the temporal-difference error, weighted by importance."""
        q_tm1, target = self.values(networks, batch, hp)
        error = batch["importance"] * self.criterion(q_tm1, target)
        weight, priority = batch["weight"], (target - q_tm1).detach().abs()
        logs = {"q_value": weighted_mean(q_tm1.detach(), weight), "priority": priority}
        return weighted_mean(error, weight), logs
