"""Telling an agent from an expert, and the reward for not being told apart.

Ho and Ermon 2016, Generative Adversarial Imitation Learning, https://arxiv.org/abs/1606.03476.
Here D is the chance that a state and action are the expert's, given by its logit; the paper's D is
the chance that they are the agent's, 1 - D.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

__all__ = ["discriminator_loss", "imitation_reward"]


def discriminator_loss(agent: Tensor, expert: Tensor) -> Tensor:
    """Cross entropy of telling both apart, `-log(1 - D(agent)) - log D(expert)`, equation 17.

    Args:
        agent: logits of what the agent did, `(B,)`.
        expert: logits of what the expert did, `(B,)`.

    Returns:
        `(B,)`, in nats; `2 log 2` where D does not know.

    >>> import torch
    >>> discriminator_loss(torch.tensor([0.0, -9.0]), torch.tensor([0.0, 9.0]))
    tensor([1.3863e+00, 2.4680e-04])
    """
    return softplus(agent) + softplus(-expert)


def imitation_reward(logit: Tensor) -> Tensor:
    """The reward `-log(1 - D)`, the negative cost of algorithm 1.

    Args:
        logit: of what the agent did, `(...)`.

    Returns:
        `(...)`, in nats, above 0.

    >>> import torch
    >>> imitation_reward(torch.tensor([-2.0, 0.0, 2.0]))
    tensor([0.1269, 0.6931, 2.1269])
    """
    return softplus(logit)
