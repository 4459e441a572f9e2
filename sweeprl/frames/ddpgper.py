"""DDPGPer: DDPG that replays by priority.

Hou, Liu, Wei, Xu and Chen 2017, A Novel DDPG Method with Prioritized Experience Replay,
https://doi.org/10.1109/SMC.2017.8122622; the replay: Schaul et al. 2016, Prioritized Experience
Replay, algorithm 1 with proportional priorities, https://arxiv.org/abs/1511.05952.

Differs from the paper:
    As DDPG differs from its own; the replay, as DQNPer differs from its own. The actor's loss is
    not weighted.
"""

from __future__ import annotations

from torch import Tensor

from sweeprl.config import PrioritizedConfig
from sweeprl.frames._base import Batch, Hyperparameters, Networks
from sweeprl.frames.ddpg import DDPG, DDPGConfig
from sweeprl.functional import weighted_mean

__all__ = ["DDPGPer", "DDPGPerConfig"]


class DDPGPerConfig(DDPGConfig, PrioritizedConfig):
    """Settings of DDPGPer."""


class DDPGPer(DDPG):
    """DDPG with prioritized replay. Continuous actions, discrete ones by probabilities."""

    Config = DDPGPerConfig
    config: DDPGPerConfig

    def critic_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean criterion of the temporal-difference error, weighted by importance."""
        q, target = self.values(networks, batch, hp)
        error = batch["importance"] * self.error(q, target, hp)
        weight, priority = batch["weight"], (target - q).detach().abs()
        logs = {"q_value": weighted_mean(q.detach(), weight), "priority": priority}
        return weighted_mean(error, weight), logs
