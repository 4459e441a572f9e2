"""HDDPG: DDPG with hysteresis, whose critic learns faster from good news than from bad.

Matignon, Laurent and Le Fort-Piat 2007, Hysteretic Q-Learning: an algorithm for decentralized
reinforcement learning in cooperative multi-agent teams,
https://doi.org/10.1109/IROS.2007.4399095.

Differs from the paper:
    The paper's Q is a table; here its two rates scale the temporal-difference error, in whose
    direction the critic takes a step of `critic_learning_rate`. With an adaptive optimizer their
    ratio counts. Beside that it is DDPG.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from sweeprl.config import Float, Traced
from sweeprl.frames._base import Hyperparameters
from sweeprl.frames.ddpg import DDPG, DDPGConfig
from sweeprl.functional import hysteretic_target

__all__ = ["HDDPG", "HDDPGConfig"]


class HDDPGConfig(DDPGConfig):
    """Settings of HDDPG."""

    q_increase_rate: Annotated[float, Field(ge=0), Float(0.1, 1.0, log=True), Traced()] = 1.0
    """Share of the temporal-difference error that is learned where values are to rise."""
    q_decrease_rate: Annotated[float, Field(ge=0), Float(0.1, 1.0, log=True), Traced()] = 1.0
    """Share of it that is learned where they are to fall; below `q_increase_rate` the critic is
    optimistic."""


class HDDPG(DDPG):
    """Hysteretic DDPG. Continuous actions, discrete ones by probabilities."""

    Config = HDDPGConfig
    config: HDDPGConfig

    def error(self, q: Tensor, target: Tensor, hp: Hyperparameters) -> Tensor:
        """Criterion of each value's distance to a target that is nearer, as the rates say."""
        nearer = hysteretic_target(q.detach(), target, hp["q_increase_rate"], hp["q_decrease_rate"])
        return super().error(q, nearer, hp)
