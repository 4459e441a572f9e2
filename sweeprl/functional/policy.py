"""Distributions over actions as plain functions of tensors, and the objectives that improve them.

Samples are functions of standard normal noise, so that who owns the random stream decides what is
drawn.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "categorical_entropy",
    "categorical_kl",
    "categorical_log_prob",
    "categorical_sample",
    "clipped_surrogate",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_log_prob",
    "squashed_gaussian_log_prob",
    "surrogate",
]

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def categorical_sample(log_probs: Tensor, noise: Tensor) -> Tensor:
    """Draws categories by inverting the cumulative distribution at the noise's own quantile.

    Args:
        log_probs: normalised log-probabilities, `(..., A)`.
        noise: standard normal numbers, `(...)`.

    Returns:
        Category indices, `(...)`, int64.

    >>> categorical_sample(torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log(), torch.tensor([-1.0, 1.0]))
    tensor([0, 1])
    """
    quantile = torch.special.ndtr(noise).unsqueeze(-1)
    below: Tensor = log_probs[..., :-1].exp().cumsum(-1) < quantile
    return below.sum(-1)


def categorical_log_prob(log_probs: Tensor, action: Tensor) -> Tensor:
    """Log-probability of each action.

    Args:
        log_probs: normalised log-probabilities, `(..., A)`.
        action: category indices, `(...)`, int64.

    Returns:
        `(...)`
    """
    return log_probs.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def categorical_entropy(log_probs: Tensor) -> Tensor:
    """Entropy in nats.

    Args:
        log_probs: normalised log-probabilities, `(..., A)`.

    Returns:
        `(...)`
    """
    return -(log_probs.exp() * log_probs).sum(-1)


def categorical_kl(old: Tensor, new: Tensor) -> Tensor:
    """Kullback-Leibler divergence in nats of categorical distributions, of the new from the old.

    Args:
        old: normalised log-probabilities, `(..., A)`; of several independent choices side by side.
        new: as `old`.

    Returns:
        `(...)`

    >>> categorical_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.25, 0.75]).log())
    tensor(0.1438)
    """
    return (old.exp() * (old - new)).sum(-1)


def gaussian_log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of a Gaussian with diagonal covariance.

    Args:
        action: `(B, D)`.
        mean: `(B, D)`.
        log_std: `(D,)` or `(B, D)`.

    Returns:
        `(B,)`
    """
    z = (action - mean) * torch.exp(-log_std)
    return (-0.5 * z * z - log_std - _HALF_LOG_TWO_PI).sum(-1)


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Entropy in nats of a Gaussian with diagonal covariance.

    Args:
        log_std: `(..., D)`.

    Returns:
        `(...)`
    """
    return (log_std + 0.5 + _HALF_LOG_TWO_PI).sum(-1)


def gaussian_kl(old: Tensor, new: Tensor) -> Tensor:
    """Kullback-Leibler divergence in nats of diagonal Gaussians, of the new from the old.

    Args:
        old: means and logs of the standard deviations side by side, `(..., 2 D)`.
        new: as `old`.

    Returns:
        `(...)`

    >>> gaussian_kl(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]))
    tensor(0.5000)
    """
    (mean, log_std), (new_mean, new_log_std) = old.chunk(2, -1), new.chunk(2, -1)
    squares = torch.exp(2 * log_std) + (mean - new_mean) ** 2
    divergence = new_log_std - log_std + 0.5 * squares * torch.exp(-2 * new_log_std) - 0.5
    return divergence.sum(-1)


def squashed_gaussian_log_prob(pre_tanh: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-density of `tanh(pre_tanh)` where `pre_tanh` is Gaussian.

    Haarnoja et al. 2018, equation 26 (appendix C), https://arxiv.org/abs/1812.05905, with
    `log(1 - tanh(x)^2) = 2 * (log 2 - x - softplus(-2x))`, which does not lose precision for large
    `x`.

    Args:
        pre_tanh: `(B, D)`.
        mean: `(B, D)`.
        log_std: `(B, D)`.

    Returns:
        `(B,)`
    """
    log_slope = 2 * (math.log(2) - pre_tanh - F.softplus(-2 * pre_tanh))
    return gaussian_log_prob(pre_tanh, mean, log_std) - log_slope.sum(-1)


def surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor) -> Tensor:
    """Advantage of each sample under the current policy, by its probability ratio.

    Schulman et al. 2015, Trust Region Policy Optimization, equation 14,
    https://arxiv.org/abs/1502.05477.

    Args:
        log_prob: under the current policy, `(B,)`.
        old_log_prob: under the policy that acted, `(B,)`.
        advantage: `(B,)`.

    Returns:
        `(B,)`
    """
    return torch.exp(log_prob - old_log_prob) * advantage


def clipped_surrogate(
    log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: Tensor
) -> Tensor:
    """PPO's pessimistic surrogate of each sample, to be maximised.

    Schulman et al. 2017, Proximal Policy Optimization Algorithms, equation 7, https://arxiv.org/abs/1707.06347.

    Args:
        log_prob: under the current policy, `(B,)`.
        old_log_prob: under the policy that acted, `(B,)`.
        advantage: `(B,)`.
        clip: how far the probability ratio may move from 1 with gain, a scalar.

    Returns:
        `(B,)`
    """
    ratio = torch.exp(log_prob - old_log_prob)
    bounded = torch.minimum(torch.maximum(ratio, 1 - clip), 1 + clip)
    return torch.minimum(ratio * advantage, bounded * advantage)
