"""Transitions over several steps, made of single ones that were stored one after the other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["joined"]


def joined(run: Mapping[str, Tensor], is_stored: Tensor) -> dict[str, Tensor]:
    """Joins single steps to transitions over up to N steps.

    Sutton 1988, Learning to Predict by the Methods of Temporal Differences,
    https://doi.org/10.1007/BF00115009. Where an episode, or what is stored of it, ends earlier, the
    transition does.

    Args:
        run: fields of N steps in a row, `(..., N)` or `(..., N, D)`.
        is_stored: whether there is such a step, `(..., N)`.

    Returns:
        State, action and weight of the first step; `reward` `(..., N)`, 0 beyond the last;
        `num_steps` `(...)`; `next_state` and `terminated` of the last.
    """
    belongs = _belongs(run, is_stored)
    num_steps = belongs.sum(-1)
    last = (num_steps - 1).unsqueeze(-1)
    places = last.unsqueeze(-1).expand(*last.shape, run["next_state"].shape[-1])
    return {
        "state": run["state"][..., 0, :],
        "action": run["action"][..., 0, :],
        "reward": run["reward"].masked_fill(~belongs, 0.0),
        "next_state": run["next_state"].gather(-2, places).squeeze(-2),
        "terminated": run["terminated"].gather(-1, last).squeeze(-1),
        "weight": run["weight"][..., 0],
        "num_steps": num_steps.float(),
    }


def _belongs(run: Mapping[str, Tensor], is_stored: Tensor) -> Tensor:
    """Which steps go on from the first one, `(..., N)`.

    A step goes on from another if it begins in the state that the other ended in. That tells where
    an episode was cut short, too, and where environments began anew after a trial was resumed.
    """
    goes_on = (run["state"][..., 1:, :] == run["next_state"][..., :-1, :]).all(-1)
    goes_on &= (run["terminated"][..., :-1] == 0) & (run["weight"][..., 1:] > 0)
    goes_on &= is_stored[..., 1:]
    return torch.cat([torch.ones_like(is_stored[..., :1]), goes_on.cumprod(-1).bool()], -1)
