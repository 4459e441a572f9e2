"""Which lanes compute an update together: those that learn from about as many transitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Division", "Part"]

_LAUNCH = {"cpu": 5e6, "cuda": 2e8}
"""What launching the operations of a loss costs, in numbers of parameters times transitions that
are learnt from in that time. Measured, see benchmarks/results/lanes.md and masking.jsonl."""

_GAIN = 0.9
"""Parts have to promise less than this share of the work of one."""

_SLACK = 1.25
"""How much dearer than the cheapest parts those may be that there have been before."""

_MOST_KEPT = 1000
"""Divisions that are kept; where settings are odd, other lanes are due in every round."""

_Shape = tuple[tuple[int, int], ...]
"""Number of lanes and width of each part, the widest first."""


class Part(NamedTuple):
    """Lanes that compute an update together."""

    lanes: Tensor
    """Which, `(K,)` int64; the first ones are there twice where a part has more places."""
    width: int
    """Rows of the batch that any of them learns from."""


class Division:
    """Divides the lanes that take part in an update so that little is computed to be masked.

    Rules are recorded, and graphs captured, for each shape of a part. So the shapes that there have
    been are taken again where they are about as cheap, and lanes that come and go need no new ones.

    Args:
        num_parameters: that the loss trains, of one lane.
        device: where they learn.
    """

    def __init__(self, num_parameters: int, device: torch.device) -> None:
        self._launch = _LAUNCH.get(device.type, _LAUNCH["cuda"]) / num_parameters
        self._device = device
        self._shapes: list[_Shape] = []
        self._kept: dict[Any, list[Part] | None] = {}

    def parts(self, sizes: NDArray[np.int64], due: NDArray[np.bool_] | None) -> list[Part] | None:
        """Returns the parts; None where all lanes at once cost as little.

        On a GPU, where each division is a graph of its own, all lanes are in one.

        Args:
            sizes: transitions in a batch of each lane, `(L,)`.
            due: which lanes take part, `(L,)`; None is all.
        """
        due = due if self._device.type == "cpu" else None
        key = (sizes.tobytes(), None if due is None else due.tobytes())
        if key not in self._kept:
            if len(self._kept) == _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = self._divided(sizes, due)
        return self._kept[key]

    def _divided(
        self, sizes: NDArray[np.int64], due: NDArray[np.bool_] | None
    ) -> list[Part] | None:
        largest = int(sizes.max())
        lanes = np.arange(len(sizes)) if due is None else np.flatnonzero(due)
        powers = 2 ** np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64)
        widths = np.minimum(powers, largest)[lanes]
        order = np.argsort(-widths, kind="stable")
        shape = self._shape(widths[order].tolist())
        if self._cost(shape) > _GAIN * (self._launch + len(sizes) * largest):
            return None
        return self._filled(shape, lanes[order])

    def _shape(self, widths: Sequence[int]) -> _Shape:
        """A shape for lanes of falling widths: one that has been, or the cheapest there is."""
        cheapest = _cheapest(widths, self._launch)
        most = _SLACK * self._cost(cheapest)
        known = [s for s in self._shapes if _holds(s, widths) and self._cost(s) <= most]
        if not known:
            self._shapes.append(cheapest)
        return min(known, key=self._cost, default=cheapest)

    def _cost(self, shape: _Shape) -> float:
        return sum(self._launch + places * width for places, width in shape)

    def _filled(self, shape: _Shape, lanes: NDArray[np.int64]) -> list[Part]:
        parts, start = [], 0
        for places, width in shape:
            own = lanes[start : start + places]
            if len(own):
                filled = torch.from_numpy(np.resize(own, places)).to(self._device)
                parts.append(Part(filled, width))
            start += places
        return parts


def _cheapest(widths: Sequence[int], launch: float) -> _Shape:
    """Cuts falling widths so that launches and rows together cost least."""
    edges = [i for i in range(len(widths)) if i == 0 or widths[i] != widths[i - 1]]
    best: dict[int, tuple[float, _Shape]] = {0: (0.0, ())}
    for end in [*edges[1:], len(widths)]:
        options = []
        for start in edges:
            if start < end:
                part = (_roomy(end - start), widths[start])
                cost, before = best[start]
                options.append((cost + launch + part[0] * part[1], (*before, part)))
        best[end] = min(options)
    return best[len(widths)][1]


def _holds(shape: _Shape, widths: Sequence[int]) -> bool:
    """Whether lanes of falling widths, put in one after the other, all find a wide enough place."""
    start = 0
    for places, width in shape:
        if start < len(widths) and widths[start] > width:
            return False
        start += places
    return start >= len(widths)


def _roomy(num: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, ...

    >>> [_roomy(num) for num in (1, 3, 5, 9, 17, 25)]
    [1, 3, 6, 12, 24, 32]
    """
    power: int = 2 ** (num - 1).bit_length()
    return 3 * power // 4 if num <= 3 * power // 4 and power >= 4 else power
