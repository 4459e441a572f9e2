"""Which lanes compute an update together: those that learn from about as many transitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Part", "divided"]

_LAUNCH = {"cpu": 5e6, "cuda": 2e8}
"""What launching the operations of a loss costs, in numbers of parameters times transitions that
are learnt from in that time. Measured, see benchmarks/results/lanes.md and masking.jsonl."""

_GAIN = 0.9
"""Parts have to promise less than this share of the work of one."""


class Part(NamedTuple):
    """Lanes that compute an update together."""

    lanes: Tensor
    """Which, `(K,)` int64. Some are there twice where K would not be one of a few numbers: rules
    are recorded for each number of lanes."""
    width: int
    """Rows of the batch that any of them learns from."""


def divided(
    sizes: NDArray[np.int64],
    due: NDArray[np.bool_] | None,
    num_parameters: int,
    device: torch.device,
) -> list[Part] | None:
    """Divides the lanes that take part in an update so that little is computed to be masked.

    Args:
        sizes: transitions in a batch of each lane, `(L,)`.
        due: which lanes take part, `(L,)`; None is all.
        num_parameters: that the loss trains, of one lane.
        device: where they learn.

    Returns:
        The parts; None where all lanes at once cost as little.
    """
    largest = int(sizes.max())
    lanes = np.arange(len(sizes)) if due is None else np.flatnonzero(due)
    widths = np.minimum(2 ** np.ceil(np.log2(np.maximum(sizes, 1))).astype(np.int64), largest)
    order = lanes[np.argsort(-widths[lanes], kind="stable")]
    launch = _LAUNCH[device.type] / num_parameters
    cost, cuts = _cheapest(widths[order].tolist(), launch)
    if cost > _GAIN * (launch + len(sizes) * largest):
        return None
    return [
        _part(order[start:end], int(widths[order[start]]), device)
        for start, end in zip(cuts[:-1], cuts[1:], strict=True)
    ]


def _cheapest(widths: Sequence[int], launch: float) -> tuple[float, list[int]]:
    """Cuts falling `widths` so that launches and rows together cost least; `(cost, cuts)`."""
    edges = [i for i in range(len(widths)) if i == 0 or widths[i] != widths[i - 1]]
    best: dict[int, tuple[float, list[int]]] = {0: (0.0, [0])}
    for end in [*edges[1:], len(widths)]:
        best[end] = min(
            (best[start][0] + launch + _roomy(end - start) * widths[start], [*best[start][1], end])
            for start in edges
            if start < end
        )
    return best[len(widths)]


def _roomy(num: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, ...

    >>> [_roomy(num) for num in (1, 3, 5, 9, 17, 25)]
    [1, 3, 6, 12, 24, 32]
    """
    power: int = 2 ** (num - 1).bit_length()
    return 3 * power // 4 if num <= 3 * power // 4 and power >= 4 else power


def _part(lanes: NDArray[np.int64], width: int, device: torch.device) -> Part:
    filled = np.resize(lanes, _roomy(len(lanes)))
    return Part(torch.from_numpy(filled).to(device), width)
