"""Value targets of temporal-difference learning."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "double_q_value",
    "hysteretic_target",
    "select_action_value",
    "soft_value",
    "standardized",
    "td_target",
    "weighted_mean",
]


def select_action_value(q: Tensor, action: Tensor) -> Tensor:
    """Picks the value of the action that was taken.

    Args:
        q: action values, `(B, A)`.
        action: chosen actions, `(B,)`, int64.

    Returns:
        `(B,)`

    >>> select_action_value(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 0]))
    tensor([2., 3.])
    """
    return q.gather(-1, action.unsqueeze(-1)).squeeze(-1)


def td_target(r_t: Tensor, discount_t: Tensor, v_t: Tensor) -> Tensor:
    """One-step target of temporal-difference learning, `r_t + discount_t * v_t`.

    Sutton and Barto, Reinforcement Learning: An Introduction, 2nd edition, equation 6.2,
    http://incompleteideas.net/book/the-book-2nd.html.

    Args:
        r_t: rewards, `(B,)`.
        discount_t: the discount, 0 where the environment terminated, `(B,)`.
        v_t: values of the states reached, `(B,)`.

    Returns:
        `(B,)`
    """
    return r_t + discount_t * v_t


def double_q_value(q_t_value: Tensor, q_t_selector: Tensor) -> Tensor:
    """Value of the action that one network selects, as another one estimates it.

    Van Hasselt, Guez and Silver 2016, Deep Reinforcement Learning with Double Q-learning, equation
    4, https://arxiv.org/abs/1509.06461.

    Args:
        q_t_value: values of the evaluating network, `(B, A)`.
        q_t_selector: values of the selecting network, `(B, A)`.

    Returns:
        `(B,)`
    """
    return select_action_value(q_t_value, q_t_selector.argmax(-1))


def hysteretic_target(
    q: Tensor, target: Tensor, increase_rate: Tensor, decrease_rate: Tensor
) -> Tensor:
    """Targets moved towards the values, by one rate where these would rise and one where fall.

    Matignon, Laurent and Le Fort-Piat 2007, Hysteretic Q-Learning,
    https://doi.org/10.1109/IROS.2007.4399095: `q + rate * delta` with `delta = target - q`.

    Args:
        q: values, `(B,)`.
        target: `(B,)`.
        increase_rate: share of a positive delta that is kept, a scalar.
        decrease_rate: share of a negative delta, a scalar.

    Returns:
        `(B,)`
    """
    delta = target - q
    return q + torch.where(delta >= 0, increase_rate, decrease_rate) * delta


def soft_value(q_1: Tensor, q_2: Tensor, log_prob: Tensor, alpha: Tensor) -> Tensor:
    """Soft state value from twin critics, `min(q_1, q_2) - alpha * log_prob`.

    Haarnoja et al. 2018, Soft Actor-Critic Algorithms and Applications, equation 3, with the
    smaller of two critics as in their section 5, https://arxiv.org/abs/1812.05905.

    Args:
        q_1: first critic's values of sampled actions, `(B,)`.
        q_2: second critic's, `(B,)`.
        log_prob: log-probabilities of those actions, `(B,)`.
        alpha: temperature, a scalar.

    Returns:
        `(B,)`
    """
    return torch.minimum(q_1, q_2) - alpha * log_prob


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of `values` `(B,)` under non-negative weights `(B,)`; 0 where all weights are 0.

    >>> weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([1.0, 0.0]))
    tensor(1.)
    """
    return torch.dot(values, weight) / weight.sum().clamp_min(1e-8)


def standardized(values: Tensor, weight: Tensor) -> Tensor:
    """Shifts and scales `values` `(B,)` to mean 0 and deviation 1 under weights `(B,)`.

    >>> standardized(torch.tensor([1.0, 3.0, 9.0]), torch.tensor([1.0, 1.0, 0.0]))
    tensor([-1.,  1.,  7.])
    """
    centred = values - weighted_mean(values, weight)
    deviation = weighted_mean(centred * centred, weight).sqrt()
    return centred / (deviation + 1e-8)
