"""Running means and deviations, for observations and rewards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["ObservationNormalizer", "RewardNormalizer", "RunningMoments"]

_BOUND = 10.0
"""Normalised numbers are clipped to it, as is customary."""


class RunningMoments:
    """Mean and variance of a stream, for L lanes, merged batch by batch.

    Chan, Golub and LeVeque 1979, Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances, equation 2.1.

    Args:
        shape: of one lane's number.
        num_lanes: L.
    """

    def __init__(self, num_lanes: int, *shape: int) -> None:
        self.mean = torch.zeros(num_lanes, *shape, dtype=torch.float64)
        self.variance = torch.ones(num_lanes, *shape, dtype=torch.float64)
        self.count = 1e-4

    def update(self, values: Tensor) -> None:
        """Takes in values `(L, R, *shape)`."""
        values = values.double().cpu()
        count, mean = values.shape[1], values.mean(1)
        variance = values.var(1, unbiased=False)
        delta, total = mean - self.mean, self.count + count
        between = delta**2 * (self.count * count / total)
        self.variance = (self.variance * self.count + variance * count + between) / total
        self.mean = self.mean + delta * (count / total)
        self.count = total

    def state_dict(self) -> dict[str, Any]:
        """Returns the moments."""
        return {"mean": self.mean, "variance": self.variance, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.mean, self.variance, self.count = state["mean"], state["variance"], state["count"]


class ObservationNormalizer:
    """Shifts and scales observations `(L, ..., D)` by their running moments.

    Args:
        num_lanes: L.
        size: D.
        device: where observations are used.
    """

    def __init__(self, num_lanes: int, size: int, device: torch.device) -> None:
        self.moments = RunningMoments(num_lanes, size)
        self._device = device
        self._read()

    def _read(self) -> None:
        self._shift = self.moments.mean.float().to(self._device)
        self._scale = (self.moments.variance + 1e-8).rsqrt().float().to(self._device)

    def update(self, states: Tensor) -> None:
        """Takes in observations `(L, R, D)`."""
        self.moments.update(states)
        self._read()

    def __call__(self, states: Tensor) -> Tensor:
        """Returns the normalised observations."""
        shape = (len(self._shift), *[1] * (states.dim() - 2), -1)
        normal = (states - self._shift.view(shape)) * self._scale.view(shape)
        return normal.clamp_(-_BOUND, _BOUND)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.moments.load_state_dict(state)
        self._read()


class RewardNormalizer:
    """Scales rewards by the running deviation of the discounted return.

    Engstrom et al. 2020, Implementation Matters in Deep Policy Gradients, section 3 item 2, https://arxiv.org/abs/2005.12729.

    Args:
        num_lanes: L.
        num_envs: environments of each lane.
        discount: of each lane, `(L,)`.
    """

    def __init__(self, num_lanes: int, num_envs: int, discount: Tensor) -> None:
        self.moments = RunningMoments(num_lanes)
        self._discount = discount.cpu().unsqueeze(1)
        self._returns = torch.zeros(num_lanes, num_envs)

    def update(self, rewards: Tensor, over: Tensor) -> None:
        """Takes in a chunk of rewards and episode ends, `(T, L, E)`."""
        returns = []
        for reward, end in zip(rewards.cpu(), over.cpu(), strict=True):
            self._returns = self._returns * self._discount + reward
            returns.append(self._returns)
            self._returns = self._returns * (1 - end)
        self.moments.update(torch.stack(returns, 1).flatten(1))

    def __call__(self, rewards: Tensor) -> Tensor:
        """Scales rewards `(L, ...)`."""
        scale = (self.moments.variance + 1e-8).rsqrt().float().to(rewards.device)
        shape = (-1, *[1] * (rewards.dim() - 1))
        return (rewards * scale.view(shape)).clamp(-_BOUND, _BOUND)

    def state_dict(self) -> dict[str, Any]:
        """Returns moments and the running returns."""
        return {"moments": self.moments.state_dict(), "returns": self._returns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.moments.load_state_dict(state["moments"])
        self._returns = state["returns"]
