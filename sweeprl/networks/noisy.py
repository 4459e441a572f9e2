"""Layers that explore: linear ones with noise on their weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["NoisyLinear"]


class NoisyLinear(nn.Module):
    """A linear layer whose weights are drawn anew in each call while it is in training mode.

    Fortunato et al. 2018, Noisy Networks for Exploration, section 3 b (factorised Gaussian noise),
    https://arxiv.org/abs/1706.10295. The noise is torch's own: it differs from lane to lane, but is
    not that of a run alone.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        sigma: deviation of the noise at the start, before it is divided by the root of the input's
            width.
    """

    def __init__(self, in_features: int, out_features: int, sigma: float = 0.5) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(out_features, in_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound))
        self.weight_sigma = nn.Parameter(torch.full_like(self.weight, sigma * bound))
        self.bias_sigma = nn.Parameter(torch.full_like(self.bias, sigma * bound))

    def forward(self, values: Tensor) -> Tensor:
        """Takes `(..., in_features)` to `(..., out_features)`; all rows see the same noise."""
        if not self.training:
            return functional.linear(values, self.weight, self.bias)
        noise_out, noise_in = _noise_like(self.bias), _noise_like(self.weight[0])
        weight = self.weight + self.weight_sigma * torch.outer(noise_out, noise_in)
        return functional.linear(values, weight, self.bias + self.bias_sigma * noise_out)


def _noise_like(tensor: Tensor) -> Tensor:
    """Standard normal numbers, each with its magnitude's root instead of its magnitude."""
    noise = torch.randn_like(tensor)
    return noise.sign() * noise.abs().sqrt()
