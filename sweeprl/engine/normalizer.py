"""Running means and deviations, for observations and rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sweeprl.engine.rows import keep_rows

__all__ = ["ObservationNormalizer", "RewardNormalizer", "RunningMoments"]

_BOUND = 10.0
"""Normalised numbers are clipped to it, as is customary."""


class RunningMoments:
    """Mean and variance of a stream, for L lanes, merged batch by batch.

    Chan, Golub and LeVeque 1979, Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances, equation 2.1.

    Args:
        num_lanes: L.
        *shape: of one lane's number.
        device: where they are kept.
    """

    def __init__(self, num_lanes: int, *shape: int, device: torch.device | str = "cpu") -> None:
        self.mean = torch.zeros(num_lanes, *shape, dtype=torch.float64, device=device)
        self.variance = torch.ones_like(self.mean)
        self.count = torch.empty(
            num_lanes, *[1] * len(shape), dtype=torch.float64, device=device
        ).fill_(_NOTHING)

    def update(self, values: Tensor, counts: Tensor | None = None) -> None:
        """Takes in values `(L, R, *shape)`.

        Args:
            values: of every lane.
            counts: how many of them count, the first ones, `(L, 1)` int64; all where it is None.
        """
        values = values.to(self.mean.device, torch.float64)
        count: int | Tensor
        if counts is None:
            count, mean = values.shape[1], values.mean(1)
            variance = values.var(1, unbiased=False)
        else:
            count, mean, variance = self._of_some(values, counts.to(values.device))
        delta, total = mean - self.mean, self.count + count
        between = delta**2 * (self.count * count / total)
        merged = (self.variance * self.count + variance * count + between) / total
        self.variance.copy_(merged)
        self.mean += delta * (count / total)
        self.count += count

    def _of_some(self, values: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Count, mean and variance of the values that count."""
        does_count = torch.arange(values.shape[1], device=values.device) < counts
        does_count = does_count.view(*values.shape[:2], *[1] * (values.dim() - 2))
        count = counts.double().view(self.count.shape)
        at_least_one = count.clamp_min(1)
        mean = torch.where(does_count, values, 0.0).sum(1) / at_least_one
        squares = torch.where(does_count, values - mean.unsqueeze(1), 0.0) ** 2
        return count, mean, squares.sum(1) / at_least_one

    def reset(self, lane: int) -> None:
        """Forgets what a lane has seen."""
        self.mean[lane], self.variance[lane], self.count[lane] = 0.0, 1.0, _NOTHING

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self.mean, self.variance = keep_rows(self.mean, kept), keep_rows(self.variance, kept)
        self.count = keep_rows(self.count, kept)

    def state_dict(self, lane: int = 0) -> dict[str, Any]:
        """Returns a lane's moments."""
        parts = {"mean": self.mean, "variance": self.variance, "count": self.count}
        return {name: value[lane].cpu().clone() for name, value in parts.items()}

    def load_state_dict(self, state: dict[str, Any], lane: int = 0) -> None:
        """Goes on where `state` was taken."""
        self.mean[lane] = state["mean"].to(self.mean.device)
        self.variance[lane] = state["variance"].to(self.mean.device)
        self.count[lane] = state["count"].to(self.mean.device)


_NOTHING = 1e-4
"""The weight of the moments to begin with, in observations."""


class ObservationNormalizer:
    """Shifts and scales observations `(L, ..., D)` by their running moments.

    Args:
        num_lanes: L.
        size: D.
        device: where observations are used.
    """

    def __init__(self, num_lanes: int, size: int, device: torch.device) -> None:
        self.moments = RunningMoments(num_lanes, size, device=device)
        self._shift = torch.zeros(num_lanes, size, device=device)
        self._scale = torch.ones(num_lanes, size, device=device)
        self.read()

    def read(self) -> None:
        """Looks at the moments anew, after they have changed."""
        self._shift.copy_(self.moments.mean)
        self._scale.copy_((self.moments.variance + 1e-8).rsqrt())

    def update(self, states: Tensor, counts: Tensor | None = None) -> None:
        """Takes in observations `(L, R, D)`, of each lane the first `counts` `(L, 1)`."""
        self.moments.update(states, counts)
        self.read()

    def __call__(self, states: Tensor) -> Tensor:
        """Returns the normalised observations."""
        shape = (len(self._shift), *[1] * (states.dim() - 2), -1)
        normal = (states - self._shift.view(shape)) * self._scale.view(shape)
        return normal.clamp_(-_BOUND, _BOUND)

    def reset(self, lane: int) -> None:
        """Forgets what a lane has seen."""
        self.moments.reset(lane)
        self.read()

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self.moments.keep(kept)
        self._shift, self._scale = keep_rows(self._shift, kept), keep_rows(self._scale, kept)

    def load_state_dict(self, state: dict[str, Any], lane: int = 0) -> None:
        """Goes on where `state` was taken."""
        self.moments.load_state_dict(state, lane)
        self.read()


class RewardNormalizer:
    """Scales rewards by the running deviation of the discounted return.

    Engstrom et al. 2020, Implementation Matters in Deep Policy Gradients, section 3 item 2, https://arxiv.org/abs/2005.12729.

    Args:
        num_envs: environments of each lane.
        discount: of each lane, `(L,)`; read anew in every update.
    """

    def __init__(self, num_envs: int, discount: Tensor) -> None:
        self.moments = RunningMoments(len(discount), device=discount.device)
        self._discount = discount.unsqueeze(1)
        self._returns = torch.zeros(len(discount), num_envs, device=discount.device)

    def update(self, rewards: Tensor, over: Tensor, counts: Tensor | None = None) -> None:
        """Takes in a chunk of rewards and episode ends, `(T, L, E)`.

        Args:
            rewards: of every lane.
            over: where an episode ended.
            counts: how many rewards of each lane count, the first ones, `(L, 1)`; None is all.
        """
        returns = []
        device = self._returns.device
        counts = None if counts is None else counts.to(device)
        for step, (reward, end) in enumerate(zip(rewards.to(device), over.to(device), strict=True)):
            now = self._returns * self._discount + reward
            returns.append(now)
            now = now * (1 - end)
            if counts is not None:
                now = torch.where(step * reward.shape[1] < counts, now, self._returns)
            self._returns = now
        self.moments.update(torch.stack(returns, 1).flatten(1), counts)

    def __call__(self, rewards: Tensor) -> Tensor:
        """Scales rewards `(L, ...)`."""
        scale = (self.moments.variance + 1e-8).rsqrt().float().to(rewards.device)
        shape = (-1, *[1] * (rewards.dim() - 1))
        return (rewards * scale.view(shape)).clamp(-_BOUND, _BOUND)

    def reset(self, lane: int) -> None:
        """Forgets what a lane has seen."""
        self.moments.reset(lane)
        self._returns[lane] = 0.0

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only; their discounts have been kept before."""
        self.moments.keep(kept)
        self._returns = keep_rows(self._returns, kept)
        self._discount = self._discount[: len(kept)]

    def state_dict(self, lane: int = 0) -> dict[str, Any]:
        """Returns a lane's moments and running returns."""
        return {
            "moments": self.moments.state_dict(lane),
            "returns": self._returns[lane].cpu().clone(),
        }

    def load_state_dict(self, state: dict[str, Any], lane: int = 0) -> None:
        """Goes on where `state` was taken."""
        self.moments.load_state_dict(state["moments"], lane)
        self._returns[lane] = state["returns"].to(self._returns.device)
