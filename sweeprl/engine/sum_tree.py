"""Sums over many numbers of L lanes, kept so that drawing in proportion to them is quick."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sweeprl.engine.rows import keep_rows

__all__ = ["SumTree"]

_FAN_OUT = 64
"""Children of a node. A wide tree is shallow: of a million numbers, four gathers find a batch."""

_BELOW_ONE = 1 - 2**-23
"""What takes any float32 below itself."""


class SumTree:
    """`size` numbers for each of L lanes, at first 0, and their sums.

    Schaul et al. 2016, Prioritized Experience Replay, appendix B.2.1,
    https://arxiv.org/abs/1511.05952; there with two children a node.

    Args:
        num_lanes: L.
        size: numbers of each lane.
        device: where they are kept.
    """

    def __init__(self, num_lanes: int, size: int, device: torch.device) -> None:
        widths = [_whole_blocks(size)]
        while widths[-1] > _FAN_OUT:
            widths.append(_whole_blocks(widths[-1] // _FAN_OUT))
        # From the numbers up to the children of the root; zeros fill the last block of each.
        self._levels = [torch.zeros(num_lanes, width, device=device) for width in widths]
        self._size = size

    @property
    def leaves(self) -> Tensor:
        """The numbers, `(L, size)`; call `renew` after having written into them."""
        return self._levels[0][:, : self._size]

    def renew(self) -> None:
        """Computes all sums anew."""
        for children, sums in zip(self._levels, self._levels[1:], strict=False):
            num_blocks = children.shape[1] // _FAN_OUT
            sums[:, :num_blocks] = children.view(len(children), num_blocks, _FAN_OUT).sum(-1)

    def set(self, places: Tensor, values: Tensor) -> None:
        """Overwrites numbers; where a place comes more than once, with the largest of its values.

        Args:
            places: of each lane, `(L, B)` int64.
            values: `(L, B)`, not negative.
        """
        leaves = self._levels[0]
        # The largest one, whatever the order: what is drawn later must not depend on luck.
        leaves.scatter_(1, places, 0.0).scatter_reduce_(1, places, values, "amax")
        for children, sums in zip(self._levels, self._levels[1:], strict=False):
            places = places // _FAN_OUT
            sums.scatter_(1, places, _blocks(children, places).sum(-1))

    def find(self, shares: Tensor) -> Tensor:
        """Finds the places at which the numbers, summed from the first on, exceed shares of all.

        Args:
            shares: of the total, in [0, 1), `(L, B)`.

        Returns:
            `(L, B)` int64, never the place of a zero; 0 where all numbers of the lane are 0.
        """
        root, *levels = reversed(self._levels)
        sums = root.cumsum(-1)
        places, rest = _child(sums, shares * sums[:, -1:])
        for level in levels:
            sums = _blocks(level, places).cumsum(-1)
            child, rest = (t.squeeze(-1) for t in _child(sums, rest.unsqueeze(-1)))
            places = places * _FAN_OUT + child
        return places

    def reset(self, lane: int) -> None:
        """Sets all numbers of a lane to 0."""
        for level in self._levels:
            level[lane] = 0.0

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self._levels = [keep_rows(level, kept) for level in self._levels]


def _whole_blocks(count: int) -> int:
    return -(-count // _FAN_OUT) * _FAN_OUT


def _blocks(children: Tensor, parents: Tensor) -> Tensor:
    """The children of each parent `(L, B)`, `(L, B, fan-out)`."""
    num_blocks = children.shape[1] // _FAN_OUT
    firsts = torch.arange(len(children), device=children.device).unsqueeze(1) * num_blocks
    found = children.view(-1, _FAN_OUT).index_select(0, (parents + firsts).flatten())
    return found.view(*parents.shape, _FAN_OUT)


def _child(sums: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
    """Steps from nodes to one child each.

    Args:
        sums: of a node's children from the first on, `(..., fan-out)`.
        rest: by how much the sum up to the node falls short of what is looked for, `(..., K)`.

    Returns:
        Which child, `(..., K)` int64, and the rest there.
    """
    # Sums of different levels differ by rounding; a rest beyond the last child would find a zero.
    rest = torch.minimum(rest, sums[..., -1:] * _BELOW_ONE)
    child = torch.searchsorted(sums, rest, right=True) % _FAN_OUT  # 0 where all are 0
    before = sums.gather(-1, (child - 1).clamp_min_(0)).masked_fill_(child == 0, 0.0)
    return child, rest - before
