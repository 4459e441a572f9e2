"""TRPO: natural policy gradients whose steps stay within a trust region.

Schulman et al. 2015, Trust Region Policy Optimization, section 6 and appendix C,
https://arxiv.org/abs/1502.05477; advantages: Schulman et al. 2016, https://arxiv.org/abs/1506.02438.

Differs from the paper:
    `actor_update_times` steps are made on each rollout, each within `kl_max_delta` of the policy
    before it; 1 is the paper's. The products with the Fisher matrix take all states of the rollout,
    where the paper subsamples them, and `damping` is added. A step that is found too long is
    halved, `line_search_backtracks` times at most, and dropped if none of them passes. Advantages
    are those of generalized advantage estimation with a critic of its own, fitted by gradient
    descent, and are normalised unless `normalize_advantage` is false.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from sweeprl.config import Choice, Continuous, Float, Int, Traced
from sweeprl.frames._actor_critic import ActorCritic, ActorCriticConfig
from sweeprl.frames._base import Batch, Hyperparameters, Loss, Networks, Role
from sweeprl.functional import (
    backtracked,
    categorical_kl,
    conjugate_gradient,
    fisher_vector_product,
    gaussian_kl,
    hessian_vector_product,
    surrogate,
    weighted_mean,
)

__all__ = ["TRPO", "TRPOConfig"]


class TRPOConfig(ActorCriticConfig):
    """Settings of TRPO."""

    actor_update_times: Annotated[int, Field(gt=0), Choice((1, 5))] = 5
    """Steps of the actor on each rollout, of which it sees all at once."""
    actor_learning_rate: Annotated[float, Field(gt=0), Traced()] = 1e-3
    """Kept for configs of the predecessor; has no effect, the trust region decides how far to
    go."""
    kl_max_delta: Annotated[float, Field(gt=0), Float(1e-3, 0.1, log=True), Traced()] = 0.01
    """Radius of the trust region: largest mean divergence, in nats, of the policy after a step from
    that before it."""
    damping: Annotated[float, Field(ge=0), Float(1e-3, 0.3, log=True), Traced()] = 0.1
    """Added to the diagonal of the Fisher matrix."""
    line_search_backtracks: Annotated[int, Field(gt=0)] = 10
    """How many steps are tried, each half as long as the one before, until one passes."""
    conjugate_eps: Annotated[float, Field(ge=0), Traced()] = 1e-8
    """Added to the denominators of the conjugate gradient method."""
    conjugate_iterations: Annotated[int, Field(gt=0), Int(5, 25)] = 10
    """Iterations of the conjugate gradient method."""
    conjugate_res_threshold: Annotated[float, Field(ge=0), Traced()] = 1e-10
    """Squared residual below which its solution is good enough."""
    hv_mode: Literal["fim", "direct"] = "fim"
    """How products with the Fisher matrix are made: from the Jacobian of the distributions and
    their own Fisher information, or by differentiating the mean divergence twice."""


class TRPO(ActorCritic):
    """Trust region policy optimization. Discrete, multi-discrete and continuous actions."""

    Config = TRPOConfig
    config: TRPOConfig

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The surrogate, whose step is found in the trust region, and the value error."""
        actor, critic = {"actor": "actor_learning_rate"}, {"critic": "critic_learning_rate"}
        config = self.config
        return (
            Loss(
                "actor_loss",
                actor,
                self.actor_loss,
                passes=config.actor_update_times,
                is_whole=True,
                step=self.step,
            ),
            Loss("critic_loss", critic, self.critic_loss, passes=config.critic_update_times),
        )

    def gain(
        self, log_prob: Tensor, batch: Batch, advantage: Tensor, hp: Hyperparameters
    ) -> Tensor:
        """The surrogate, equation 14 of the paper."""
        return surrogate(log_prob, batch["log_prob"], advantage)

    def step(
        self,
        at: Callable[[Tensor], Networks],
        parameters: Tensor,
        gradient: Tensor,
        batch: Batch,
        hp: Hyperparameters,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The longest step along the natural gradient that improves, inside the trust region."""

        def describe(moved: Tensor) -> Tensor:
            description: Tensor = at(moved).actor(state=batch["state"], distribution=True)
            return description

        old = describe(parameters)
        loss, _ = self.actor_loss(at(parameters), batch, hp)

        def divergence(moved: Tensor) -> Tensor:
            return weighted_mean(self.divergence(old, describe(moved)), batch["weight"])

        def passes(step: Tensor) -> Tensor:
            moved = parameters + step
            is_better = self.actor_loss(at(moved), batch, hp)[0] < loss
            return is_better & (divergence(moved) <= hp["kl_max_delta"])

        def product(vector: Tensor) -> Tensor:
            if self.config.hv_mode == "direct":
                image = hessian_vector_product(divergence, parameters, vector)
            else:
                metric, weight = self.metric(old), batch["weight"]
                image = fisher_vector_product(describe, metric, parameters, vector, weight)
            return image + hp["damping"] * vector

        longest = self.longest_step(product, gradient, hp)
        half = torch.full_like(loss, 0.5)
        step, share = backtracked(passes, longest, self.config.line_search_backtracks, half)
        return step, {"kl": divergence(parameters + step), "step_share": share}

    def longest_step(
        self, product: Callable[[Tensor], Tensor], gradient: Tensor, hp: Hyperparameters
    ) -> Tensor:
        """The step against `gradient` whose divergence is `kl_max_delta` to second order.

        Appendix C of the paper: `s = F^-1 g`, scaled by `sqrt(2 delta / s^T F s)`.
        """
        direction = conjugate_gradient(
            product,
            -gradient,
            self.config.conjugate_iterations,
            hp["conjugate_res_threshold"],
            hp["conjugate_eps"],
        )
        curvature = torch.dot(direction, product(direction))
        return (2 * hp["kl_max_delta"] / (curvature + hp["conjugate_eps"])).sqrt() * direction

    def divergence(self, old: Tensor, new: Tensor) -> Tensor:
        """Divergence `(B,)` of distributions as the actor describes them, `(B, K)`."""
        is_gaussian = isinstance(self.spec.action, Continuous)
        return gaussian_kl(old, new) if is_gaussian else categorical_kl(old, new)

    def metric(self, description: Tensor) -> Tensor:
        """Diagonal `(B, K)` of the Fisher information of distributions in their description.

        Of a Gaussian it is `1 / sigma^2` in the mean and 2 in the logarithm of sigma; of log-
        probabilities it is the probabilities.
        """
        if not isinstance(self.spec.action, Continuous):
            return description.exp()
        _, log_std = description.chunk(2, -1)
        return torch.cat([torch.exp(-2 * log_std), torch.full_like(log_std, 2.0)], -1)

    def play(self, networks: Networks, role: Role, state: Tensor) -> Any:
        """The actor also describes its distribution."""
        output = super().play(networks, role, state)
        if role.name != "actor" or not isinstance(output, tuple):
            return output
        return (*output[:3], networks.actor(state=state, distribution=True))

    def fits(self, role: Role, output: tuple[Any, ...]) -> bool:
        """Whether the actor's description has as many columns as its distribution has numbers."""
        if role.name != "actor":
            return super().fits(role, output)
        is_described = len(output) == 4 and isinstance(output[3], Tensor)
        if not is_described or not super().fits(role, output):
            return False
        return tuple(output[3].shape) == (2, self.num_described)

    @property
    def num_described(self) -> int:
        """How many numbers describe the distribution in one state."""
        parts = 2 if isinstance(self.spec.action, Continuous) else 1
        return parts * self.spec.action.num_outputs

    def contract(self, role: Role) -> str:
        """What actor and critic take and return."""
        if role.name != "actor":
            return super().contract(role)
        is_gaussian = isinstance(self.spec.action, Continuous)
        words = "mean and log-deviation" if is_gaussian else "log-probabilities of all actions"
        return (
            f"{super().contract(role)} With `distribution` True it must return {words} instead, "
            f"(B, {self.num_described})."
        )
