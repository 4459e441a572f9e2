"""What a round of updates logs: the mean over its updates, loss by loss and lane by lane."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from sweeprl.engine.lanes import Lanes

__all__ = ["RoundMeans"]


class RoundMeans:
    """Sums of what losses log, and how many updates of each lane they come from.

    Args:
        lanes: who learns.
    """

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._sums: dict[int, dict[str, Tensor]] = {}
        self._made_by_all: dict[int, int] = {}
        self._made_by_some: dict[int, Tensor] = {}

    def add(self, loss: int, record: Mapping[str, Tensor], active: Tensor | None) -> None:
        """Takes in what one update logged.

        Args:
            loss: number of the loss.
            record: its value and what it logs, by name, `(L,)`, or scalars where there is one lane.
            active: which lanes descended it, `(L, 1)`; None is all.
        """
        if active is None:
            self._made_by_all[loss] = self._made_by_all.get(loss, 0) + 1
        else:
            made = active.squeeze(1)
            self._made_by_some[loss] = made + self._made_by_some.get(loss, 0)
            record = {name: torch.where(made, value, 0.0) for name, value in record.items()}
        sums = self._sums.setdefault(loss, {})
        for name, value in record.items():
            sums[name] = sums[name] + value if name in sums else value.clone()

    def means(self, where_none: float = math.nan) -> dict[str, Tensor]:
        """Returns the means by name, `(L,)`.

        Args:
            where_none: for lanes that did not descend the loss.
        """
        return {
            name: self._mean(loss, self._lanes.leave(total), where_none)
            for loss, sums in self._sums.items()
            for name, total in sums.items()
        }

    def _mean(self, loss: int, total: Tensor, where_none: float) -> Tensor:
        by_all, by_some = self._made_by_all.get(loss, 0), self._made_by_some.get(loss)
        if by_some is None:
            return total / by_all
        made = by_some + by_all
        return torch.where(made > 0, total / made.clamp_min(1), where_none)
