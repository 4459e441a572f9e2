"""RAINBOW: deep Q-learning of return distributions, over several steps, with prioritised replay.

Hessel et al. 2018, Rainbow: Combining Improvements in Deep Reinforcement Learning,
https://arxiv.org/abs/1710.02298; the distributions: Bellemare, Dabney and Munos 2017,
https://arxiv.org/abs/1707.06887.

Differs from the paper:
    As DQNPer differs from its own. Exploration is epsilon-greedy; the networks are noisy where
    their `model_kwargs` say so. Where an episode, or what is stored of it, ends before
    `reward_future_steps` steps, the return is bootstrapped there.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from typing_extensions import Self

from sweeprl.config import ClassRef, Inert, Int, Traced
from sweeprl.frames._base import Batch, Hyperparameters, Networks, Role
from sweeprl.frames.dqn import DQN
from sweeprl.frames.dqnper import DQNPerConfig
from sweeprl.functional import (
    atoms,
    categorical_cross_entropy,
    categorical_projection,
    n_step_return,
    select_action_distribution,
    weighted_mean,
)
from sweeprl.networks import DistributionalQNet

__all__ = ["RAINBOW", "RAINBOWConfig"]


class RAINBOWConfig(DQNPerConfig):
    """Settings of RAINBOW."""

    criterion: Annotated[ClassRef, Inert()] = "MSELoss"
    """Kept for configs of the predecessor; has no effect, the loss is the cross entropy."""
    criterion_args: Annotated[list[Any], Inert()] = []
    """Kept for configs of the predecessor; has no effect."""
    criterion_kwargs: Annotated[dict[str, Any], Inert()] = {}
    """Kept for configs of the predecessor; has no effect."""
    value_min: Annotated[float, Traced()] = -1.0
    """Lowest return that the distributions know: the first atom."""
    value_max: Annotated[float, Traced()] = 1.0
    """Highest return that the distributions know: the last atom."""
    reward_future_steps: Annotated[int, Field(gt=0), Int(1, 10)] = 3
    """Environment steps whose rewards are summed before the bootstrap."""

    @model_validator(mode="after")
    def _atoms_span_a_range(self) -> Self:
        if self.value_min >= self.value_max:
            raise ValueError(
                f"`value_min < value_max` must hold, but got value_min={self.value_min}, "
                f"value_max={self.value_max}."
            )
        return self


class RAINBOW(DQN):
    """Q-learning of return distributions over several steps, prioritized. Discrete actions."""

    Config = RAINBOWConfig
    config: RAINBOWConfig

    def default_network(self, role: Role) -> type[nn.Module]:
        """A multilayer perceptron with dueling streams, 51 atoms for each action."""
        return DistributionalQNet

    @property
    def steps_ahead(self) -> int:
        """`reward_future_steps`."""
        return self.config.reward_future_steps

    def action_values(self, output: Tensor, hp: Hyperparameters) -> Tensor:
        """Mean returns of distributions `(..., K)`."""
        return output @ atoms(hp["value_min"], hp["value_max"], output.shape[-1])

    def q_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross entropy of the projected targets, weighted by importance.

        Equation 3 of the paper, whose divergence is this less the targets' entropy.
        """
        with torch.no_grad():
            target = self.target(networks, batch, hp)
        p = networks.qnet(state=batch["state"])
        p_tm1 = select_action_distribution(p, batch["action"])
        error = categorical_cross_entropy(target, p_tm1)
        divergence = error.detach() - categorical_cross_entropy(target, target)
        q_tm1, weight = self.action_values(p_tm1.detach(), hp), batch["weight"]
        logs = {"q_value": weighted_mean(q_tm1, weight), "priority": divergence.clamp_min(0.0)}
        return weighted_mean(batch["importance"] * error, weight), logs

    def target(self, networks: Networks, batch: Batch, hp: Hyperparameters) -> Tensor:
        """Distributions `(B, K)` of the returns after the steps of the batch."""
        p_t = self.reached(networks, batch["next_state"], hp)
        z = atoms(hp["value_min"], hp["value_max"], p_t.shape[-1])
        r_t = n_step_return(batch["reward"], hp["discount"])
        discount_t = hp["discount"] ** batch["num_steps"] * (1 - batch["terminated"])
        return categorical_projection(p_t, z, r_t, discount_t)

    def reached(self, networks: Networks, state: Tensor, hp: Hyperparameters) -> Tensor:
        """Distribution `(B, K)` of the best action in each state, as `mode` says."""
        evaluator = networks.qnet if self.config.mode == "vanilla" else networks.qnet_target
        p: Tensor = evaluator(state=state)
        selector = networks.qnet(state=state) if self.config.mode == "double" else p
        return select_action_distribution(p, self.action_values(selector, hp).argmax(-1))

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether there is a distribution for each action."""
        p = output[0]
        if not isinstance(p, Tensor) or p.dim() != 3 or p.shape[:2] != (2, self.action_num):
            return False
        return p.shape[2] > 1 and bool(((p.sum(-1) - 1).abs() < 1e-3).all())

    def contract(self, role: Role) -> str:
        """What a network of distributions takes and returns."""
        size = self.spec.observation_size
        return (
            f"A Q network must take `state` (B, {size}) and return probabilities "
            f"(B, {self.action_num}, K) of K atoms, at least 2, which sum to 1."
        )
