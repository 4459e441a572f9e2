"""ARS: augmented random search, policies that are improved by trying steps in random directions.

Mania, Guy and Recht 2018, Simple Random Search of Static Linear Policies is Competitive for
Reinforcement Learning, algorithm 2, https://arxiv.org/abs/1803.07055. With `normalize_state` false
it is V1, else V2; with `used_rollout_num` below `rollout_num` the variants with t.

Differs from the paper:
    The step goes through an `optimizer`, Adam by default; `"SGD"` is the paper's. Running means and
    deviations of observations move on during the rollouts, not between them. An environment that
    finds no rollout left to play plays the policy itself until the others have ended; such
    episodes count as environment steps. Discrete actions are those of the highest score.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from sweeprl.config import (
    ClassRef,
    Continuous,
    Discrete,
    Float,
    Inert,
    MultiDiscrete,
    SearchConfig,
    Traced,
)
from sweeprl.frames._base import Batch, Hyperparameters, Loss, Networks, Role, SearchFrame
from sweeprl.functional import search_gradient
from sweeprl.networks import LinearActor

__all__ = ["ARS", "ARSConfig"]


class ARSConfig(SearchConfig):
    """Settings of ARS."""

    models: list[ClassRef] = ["Actor"]
    model_args: list[list[Any]] = [[]]
    model_kwargs: list[dict[str, Any]] = [{}]
    learning_rate: Annotated[float, Field(gt=0), Float(1e-4, 0.3, log=True), Traced()] = 1e-3
    """Step size of the optimizer."""
    noise_size: Annotated[int, Field(gt=0), Inert()] = 250_000_000
    """Kept for configs of the predecessor; has no effect, directions are computed where needed."""
    noise_seed: Annotated[int, Inert()] = 12345
    """Kept for configs of the predecessor; has no effect, directions follow the trial's `seed`."""
    sample_seed: Annotated[int, Inert()] = 123
    """Kept for configs of the predecessor; has no effect, directions follow the trial's `seed`."""


class ARS(SearchFrame):
    """Augmented random search. Discrete, multi-discrete and continuous actions."""

    Config = ARSConfig
    config: ARSConfig
    roles = (Role("actor", "Actor"),)
    actions = (Discrete, MultiDiscrete, Continuous)

    def default_network(self, role: Role) -> type[nn.Module]:
        """A matrix."""
        return LinearActor

    @property
    def losses(self) -> tuple[Loss, ...]:
        """Minus the mean return."""
        rates = {"actor": "learning_rate"}
        return (Loss("search_loss", rates, self.search_loss, is_estimated=True),)

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
        """What the policy says: the search is in its parameters."""
        output: Tensor = networks.actor(state=state)
        match self.spec.action:
            case Continuous():
                return output
            case Discrete():
                return output.argmax(-1)
            case MultiDiscrete(nums=nums):
                choices = torch.split(output, list(nums), -1)
                return torch.stack([scores.argmax(-1) for scores in choices], -1)

    def search_loss(
        self, networks: Networks, batch: Batch, hp: Hyperparameters
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Minus the mean return of all rollouts, with the gradient that algorithm 2 estimates."""
        returns = batch["reward"]
        ascent, sigma = search_gradient(returns, batch["noise"], self.config.used_rollout_num)
        return -returns.mean(), {"gradient": -ascent, "return_deviation": sigma}

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether there is a score for each action, or an action."""
        expected = (2, self.spec.action.num_outputs)
        return isinstance(output[0], Tensor) and tuple(output[0].shape) == expected

    def contract(self, role: Role) -> str:
        """What the actor takes and returns."""
        is_real = isinstance(self.spec.action, Continuous)
        words = "the action" if is_real else "scores of all actions"
        num = self.spec.action.num_outputs
        return f"An actor must take `state` (B, D) and return {words} (B, {num})."
