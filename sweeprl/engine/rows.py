"""Rows of stacked tensors, one for each lane; where lanes go, the last ones take their places."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor

__all__ = ["keep_rows", "kept_after_dropping"]


def kept_after_dropping(num_lanes: int, dropped: Collection[int]) -> list[int]:
    """Returns which lane stands in each place after `dropped` are gone.

    Only lanes beyond the new end move, so that most rows stay where they are.

    >>> kept_after_dropping(6, {1, 4})
    [0, 5, 2, 3]
    """
    num_kept = num_lanes - len(set(dropped))
    movers = iter([lane for lane in range(num_kept, num_lanes) if lane not in dropped])
    return [next(movers) if lane in dropped else lane for lane in range(num_kept)]


def keep_rows(tensor: Tensor, kept: Sequence[int]) -> Tensor:
    """Moves rows as `kept_after_dropping` says, in place, and returns a view of those that stay."""
    for place, lane in enumerate(kept):
        if place != lane:
            tensor[place] = tensor[lane]
    return tensor[: len(kept)]
