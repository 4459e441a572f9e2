"""Returns and advantages along a rollout."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gae"]


def gae(r_t: Tensor, discount_t: Tensor, lambda_t: Tensor, v_tm1: Tensor, v_t: Tensor) -> Tensor:
    """Generalized advantage estimates along a rollout.

    Schulman et al. 2016, High-Dimensional Continuous Control Using Generalized Advantage
    Estimation, equation 16, https://arxiv.org/abs/1506.02438: `A_tm1 = delta_t + discount_t *
    lambda_t * A_t` with `delta_t = r_t + discount_t * v_t - v_tm1`.

    Args:
        r_t: rewards, `(T, E)`.
        discount_t: the discount, 0 where the environment terminated, `(T, E)`.
        lambda_t: the trace parameter, 0 where the episode ended in either way, `(T, E)`.
        v_tm1: values of the states acted in, `(T, E)`.
        v_t: values of the states reached; for a truncated episode that of its last state, `(T, E)`.

    Returns:
        Advantages, `(T, E)`.

    >>> ones = torch.ones(2, 1)
    >>> gae(ones, 0.5 * ones, 0.5 * ones, torch.zeros(2, 1), torch.zeros(2, 1)).squeeze(1)
    tensor([1.2500, 1.0000])
    """
    deltas = torch.addcmul(r_t, discount_t, v_t) - v_tm1
    decays = (discount_t * lambda_t).unbind(0)
    advantage = torch.zeros_like(deltas[0])
    advantages = []
    for delta, decay in zip(reversed(deltas.unbind(0)), reversed(decays), strict=True):
        advantage = torch.addcmul(delta, decay, advantage)
        advantages.append(advantage)
    return torch.stack(advantages[::-1])
