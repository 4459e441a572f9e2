"""Noise that is added to actions, as functions of standard normal numbers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "as_probabilities",
    "clipped_normal_noise",
    "ornstein_uhlenbeck",
    "smoothing_noise",
    "uniform_noise",
]


def uniform_noise(noise: Tensor, low: float, high: float) -> Tensor:
    """Numbers uniform in [low, high], at the quantiles of the noise.

    Args:
        noise: standard normal numbers, `(..., A)`.
        low: lower end.
        high: upper end.

    Returns:
        `(..., A)`

    >>> uniform_noise(torch.zeros(1), -1.0, 2.0)
    tensor([0.5000])
    """
    quantile: Tensor = torch.special.ndtr(noise)
    return low + (high - low) * quantile


def clipped_normal_noise(noise: Tensor, mean: float, std: float, low: float, high: float) -> Tensor:
    """Normal numbers, those outside [low, high] moved to its ends.

    Args:
        noise: standard normal numbers, `(..., A)`.
        mean: before clipping.
        std: standard deviation before clipping.
        low: lower end.
        high: upper end.

    Returns:
        `(..., A)`

    >>> clipped_normal_noise(torch.tensor([-3.0, 1.0, 3.0]), 0.0, 0.2, -0.5, 0.5)
    tensor([-0.5000,  0.2000,  0.5000])
    """
    return (mean + std * noise).clamp(low, high)


def smoothing_noise(noise: Tensor, std: Tensor, clip: Tensor) -> Tensor:
    """What is added to a target policy's actions, so that near actions get near values.

    Fujimoto, van Hoof and Meger 2018, Addressing Function Approximation Error in Actor-Critic
    Methods, section 5.3, https://arxiv.org/abs/1802.09477.

    Args:
        noise: standard normal numbers, `(B, A)`.
        std: standard deviation before clipping, a scalar.
        clip: largest distance from 0, a scalar.

    Returns:
        `(B, A)`
    """
    return torch.minimum(torch.maximum(std * noise, -clip), clip)


def ornstein_uhlenbeck(
    x: Tensor, noise: Tensor, mean: float, sigma: float, theta: float, dt: float
) -> Tensor:
    """One step of a random walk that is drawn back to its mean.

    Uhlenbeck and Ornstein 1930, On the Theory of the Brownian Motion,
    https://doi.org/10.1103/PhysRev.36.823, discretised after Euler and Maruyama,
    `x + theta * (mean - x) * dt + sigma * sqrt(dt) * noise`; as exploration: Lillicrap et al. 2016,
    section 7, https://arxiv.org/abs/1509.02971.

    Args:
        x: where it is, `(..., A)`.
        noise: standard normal numbers, `(..., A)`.
        mean: where it is drawn to.
        sigma: deviation of what is added in a unit of time.
        theta: share of the distance by which it is drawn back in a unit of time.
        dt: units of time in a step.

    Returns:
        `(..., A)`

    >>> ornstein_uhlenbeck(torch.tensor([2.0]), torch.tensor([1.0]), 0.0, 0.5, 0.1, 1.0)
    tensor([2.3000])
    """
    drift, scale = theta * dt, sigma * math.sqrt(dt)
    return x + drift * (mean - x) + scale * noise


def as_probabilities(values: Tensor) -> Tensor:
    """Makes probabilities of numbers: what is below 0 counts as 0, and the rest is scaled.

    Args:
        values: `(..., A)`.

    Returns:
        `(..., A)`, each row summing to 1; all alike where no number is above 0.

    >>> as_probabilities(torch.tensor([[0.6, 0.2, -0.1], [-1.0, 0.0, -1.0]]))
    tensor([[0.7500, 0.2500, 0.0000],
            [0.3333, 0.3333, 0.3333]])
    """
    positive = values.clamp_min(0.0)
    total = positive.sum(-1, keepdim=True)
    return torch.where(total > 0, positive / total.clamp_min(1e-30), 1 / values.shape[-1])
