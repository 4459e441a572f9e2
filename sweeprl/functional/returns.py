"""Returns and advantages along a rollout."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["gae", "n_step_return"]


def n_step_return(r_t: Tensor, discount: Tensor) -> Tensor:
    """Sum of some discounted rewards in a row, `sum_k discount ** k * r_{t + k}`.

    Sutton and Barto, Reinforcement Learning: An Introduction, 2nd edition, equation 7.1 without its
    bootstrap, http://incompleteideas.net/book/the-book-2nd.html.

    Args:
        r_t: rewards of N steps, `(B, N)`.
        discount: of one step, a scalar.

    Returns:
        `(B,)`

    >>> n_step_return(torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor(0.5))
    tensor([3.])
    """
    return r_t @ discount ** torch.arange(r_t.shape[-1], device=r_t.device)


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
    advantage = torch.addcmul(r_t, discount_t, v_t) - v_tm1
    decay = discount_t * lambda_t
    # By doubling: after k rounds every step has seen the 2 ** k deltas that follow it.
    ahead = 1
    while ahead < len(advantage):
        seen = torch.addcmul(advantage[:-ahead], decay[:-ahead], advantage[ahead:])
        advantage = torch.cat([seen, advantage[-ahead:]])
        decay = torch.cat([decay[:-ahead] * decay[ahead:], torch.zeros_like(decay[-ahead:])])
        ahead *= 2
    return advantage
