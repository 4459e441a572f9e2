"""What drawing by priority asks of a learning rule."""

from __future__ import annotations

from torch import Tensor

__all__ = ["annealed", "importance_weights"]


def importance_weights(chance: Tensor, beta: Tensor) -> Tensor:
    """Weights that make up for drawing some transitions more often than others.

    Schaul et al. 2016, Prioritized Experience Replay, section 3.4,
    https://arxiv.org/abs/1511.05952: `w_i = (N * P_i) ** -beta`, divided by the largest in the
    batch, which takes N and the scale of P out.

    Args:
        chance: to be drawn, on any scale, positive, `(..., B)`.
        beta: how far it is made up for, 1 is in full, broadcast against `chance`.

    Returns:
        `(..., B)`, in (0, 1]

    >>> import torch
    >>> importance_weights(torch.tensor([0.1, 0.4, 0.1]), torch.tensor(0.5))
    tensor([1.0000, 0.5000, 1.0000])
    """
    weights: Tensor = (chance.amin(-1, keepdim=True) / chance) ** beta
    return weights


def annealed(start: Tensor, steps: Tensor, total: Tensor) -> Tensor:
    """A value that rises linearly from `start` to 1 over `total` steps, and stays there.

    Args:
        start: the value at step 0.
        steps: steps made so far.
        total: steps until it is 1; nan is for ever.

    >>> import torch
    >>> annealed(torch.tensor(0.4), torch.tensor([0.0, 50.0, 200.0]), torch.tensor(100.0))
    tensor([0.4000, 0.7000, 1.0000])
    """
    return start + (1 - start) * (steps / total).nan_to_num(0.0).clamp_max(1.0)
