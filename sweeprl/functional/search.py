"""Searching for parameters by their returns alone."""

from __future__ import annotations

from torch import Tensor

__all__ = ["search_gradient"]


def search_gradient(returns: Tensor, noise: Tensor, num_used: int) -> tuple[Tensor, Tensor]:
    """Direction in which returns rise, from those of steps forwards and backwards.

    Mania, Guy and Recht 2018, Simple Random Search of Static Linear Policies is Competitive for
    Reinforcement Learning, algorithm 2, https://arxiv.org/abs/1803.07055: `sum_k (r_k+ - r_k-) *
    noise_k / (b * sigma)` over the b directions of the largest `max(r_k+, r_k-)`, with sigma the
    deviation of their 2 b returns.

    Args:
        returns: of going forwards and backwards in each direction, `(N, 2)`.
        noise: the directions, `(N, P)`.
        num_used: b.

    Returns:
        The direction `(P,)`, and sigma.

    >>> import torch
    >>> noise = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> search_gradient(torch.tensor([[3.0, 1.0], [1.0, 3.0]]), noise, 2)
    (tensor([ 1., -1.]), tensor(1.))
    """
    best = returns.amax(-1).topk(num_used).indices
    used = returns[best]
    sigma = used.std(correction=0)
    gain = used[:, 0] - used[:, 1]
    return gain @ noise[best] / (num_used * (sigma + 1e-8)), sigma
