"""Returns as distributions over fixed atoms (C51)."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "atoms",
    "categorical_cross_entropy",
    "categorical_projection",
    "select_action_distribution",
]


def atoms(value_min: Tensor, value_max: Tensor, num: int) -> Tensor:
    """Values that a return may take, evenly spaced.

    Bellemare, Dabney and Munos 2017, A Distributional Perspective on Reinforcement Learning,
    section 4, https://arxiv.org/abs/1707.06887.

    Args:
        value_min: the lowest, a scalar.
        value_max: the highest, a scalar.
        num: how many, K.

    Returns:
        `(K,)`

    >>> atoms(torch.tensor(-1.0), torch.tensor(1.0), 5)
    tensor([-1.0000, -0.5000,  0.0000,  0.5000,  1.0000])
    """
    return value_min + (value_max - value_min) * torch.linspace(0, 1, num, device=value_min.device)


def select_action_distribution(p: Tensor, action: Tensor) -> Tensor:
    """Picks the distribution of the action that was taken.

    Args:
        p: probabilities, `(B, A, K)`.
        action: chosen actions, `(B,)`, int64.

    Returns:
        `(B, K)`
    """
    place = action.view(-1, 1, 1).expand(-1, 1, p.shape[-1])
    return p.gather(1, place).squeeze(1)


def categorical_projection(p_t: Tensor, z: Tensor, r_t: Tensor, discount_t: Tensor) -> Tensor:
    """Distribution of `r_t + discount_t * Z`, each atom's share given to its two neighbours in `z`.

    Bellemare, Dabney and Munos 2017, A Distributional Perspective on Reinforcement Learning,
    equation 7 and algorithm 1, https://arxiv.org/abs/1707.06887.

    Args:
        p_t: probabilities of the atoms in the states reached, `(B, K)`.
        z: the atoms, evenly spaced, `(K,)`.
        r_t: rewards, `(B,)`.
        discount_t: the discount, 0 where the environment terminated, `(B,)`.

    Returns:
        Probabilities of the same atoms, `(B, K)`.

    >>> p, z = torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([0.0, 1.0, 2.0])
    >>> categorical_projection(p, z, torch.tensor([0.5]), torch.tensor([1.0]))
    tensor([[0.2500, 0.5000, 0.2500]])
    """
    last = len(z) - 1
    moved = r_t.unsqueeze(-1) + discount_t.unsqueeze(-1) * z
    place = ((moved - z[0]) / (z[-1] - z[0]) * last).clamp(0, last)
    below = place.floor()
    to_above = (place - below) * p_t
    lower = below.long()
    upper = (lower + 1).clamp_max(last)
    projected = torch.zeros_like(p_t).scatter_add(-1, lower, p_t - to_above)
    return projected.scatter_add(-1, upper, to_above)


def categorical_cross_entropy(target: Tensor, p: Tensor) -> Tensor:
    """Cross entropy of `p` relative to `target`, `-sum_i target_i log p_i`.

    Args:
        target: probabilities, `(..., K)`.
        p: probabilities, `(..., K)`; the smallest positive number stands for 0.

    Returns:
        `(...)`; with `p` the target itself, its entropy.
    """
    return -(target * p.clamp_min(torch.finfo(p.dtype).tiny).log()).sum(-1)
