"""The memory of off-policy frames: every transition a row of numbers, all rows in one tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sweeprl.config import ActionSpec, Continuous, Discrete

__all__ = ["FieldLayout", "ReplayBuffer", "as_action"]


class FieldLayout:
    """Where each field of a transition stands in a packed row.

    Args:
        widths: numbers in each field, by name, in order.
    """

    def __init__(self, widths: dict[str, int]) -> None:
        self.widths = widths

    def pack(self, fields: dict[str, Tensor]) -> Tensor:
        """Joins fields `(..., width)`, or `(...)` where the width is 1, into rows `(..., W)`."""
        columns = [
            fields[name].unsqueeze(-1) if width == 1 and fields[name].dim() == 2 else fields[name]
            for name, width in self.widths.items()
        ]
        return torch.cat([column.float() for column in columns], -1)

    def unpack(self, rows: Tensor, scalars: frozenset[str]) -> dict[str, Tensor]:
        """Splits rows `(..., W)` into fields; those in `scalars` lose their last dimension."""
        parts = torch.split(rows, list(self.widths.values()), -1)
        return {
            name: part.squeeze(-1) if name in scalars else part
            for name, part in zip(self.widths, parts, strict=True)
        }


def as_action(numbers: Tensor, action: ActionSpec) -> Tensor:
    """Turns stored numbers `(..., A)` into what networks take.

    Reals stay; choices become int64, `(...)` for a single one.
    """
    if isinstance(action, Continuous):
        return numbers
    return numbers.squeeze(-1).long() if isinstance(action, Discrete) else numbers.long()


class ReplayBuffer:
    """The latest transitions of L lanes.

    Mnih et al. 2015, https://www.nature.com/articles/nature14236 (experience replay).

    Args:
        num_lanes: L.
        size: most transitions kept for each lane.
        width: numbers in a packed transition.
        device: where they are kept.
    """

    def __init__(self, num_lanes: int, size: int, width: int, device: torch.device) -> None:
        self._rows = torch.empty(num_lanes, size, width, device=device)
        self._first_rows = torch.arange(num_lanes, device=device).unsqueeze(1) * size
        self._next = 0
        self.filled = 0

    def store(self, rows: Tensor) -> None:
        """Adds rows `(L, R, W)`, dropping the oldest where there is no room."""
        size = self._rows.shape[1]
        rows = rows[:, -size:].to(self._rows.device)
        count = rows.shape[1]
        head = min(count, size - self._next)
        self._rows[:, self._next : self._next + head] = rows[:, :head]
        self._rows[:, : count - head] = rows[:, head:]
        self._next = (self._next + count) % size
        self.filled = min(self.filled + count, size)

    def sample(self, quantiles: Tensor) -> Tensor:
        """Draws rows with replacement, all with one gather.

        Args:
            quantiles: uniform numbers in [0, 1), `(L, R)`.

        Returns:
            `(L, R, W)`
        """
        places = (quantiles.to(self._rows.device) * self.filled).long().clamp_max_(self.filled - 1)
        flat = self._rows.view(-1, self._rows.shape[-1])
        drawn = flat.index_select(0, (places + self._first_rows).view(-1))
        return drawn.view(*quantiles.shape, -1)

    def state_dict(self) -> dict[str, Any]:
        """Returns the filled part."""
        return {"rows": self._rows[:, : self.filled].clone(), "next": self._next}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self.filled = state["rows"].shape[1]
        self._rows[:, : self.filled] = state["rows"].to(self._rows.device)
        self._next = state["next"]
