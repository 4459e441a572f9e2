"""The memory of off-policy frames: every transition a row of numbers, all rows in one tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sweeprl.config import ActionSpec, Continuous, Discrete, EnvSpec
from sweeprl.engine.priorities import Priorities
from sweeprl.engine.rows import keep_rows

__all__ = ["FieldLayout", "ReplayBuffer", "as_action"]


class FieldLayout:
    """Where each field of a transition stands in a packed row.

    Args:
        widths: numbers in each field, by name, in order.
    """

    def __init__(self, widths: dict[str, int]) -> None:
        self.widths = widths

    @classmethod
    def of(cls, spec: EnvSpec) -> FieldLayout:
        """The layout of an environment's transitions."""
        size = spec.observation_size
        ends = {"reward": 1, "next_state": size, "terminated": 1, "weight": 1}
        agents = {"agent_rewards": len(spec.agents)} if spec.agents else {}
        return cls({"state": size, "action": spec.action.size, **agents, **ends})

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(self.widths.values())

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
    """The latest transitions of L lanes, each as far along as it is.

    Mnih et al. 2015, https://www.nature.com/articles/nature14236 (experience replay).

    Args:
        num_lanes: L.
        size: most transitions kept for each lane.
        width: numbers in a packed transition.
        device: where they are kept.
        priorities: what draws from them; None draws uniformly.
    """

    def __init__(
        self,
        num_lanes: int,
        size: int,
        width: int,
        device: torch.device,
        priorities: Priorities | None = None,
    ) -> None:
        self.priorities = priorities
        self._rows = torch.empty(num_lanes, size, width, device=device)
        self._first_rows = torch.arange(num_lanes, device=device).unsqueeze(1) * size
        self._stored = torch.zeros(num_lanes, 1, dtype=torch.int64, device=device)
        self._rows[:, 0] = 0.0  # what a lane draws that has nothing yet, masked as it is, is sound

    @property
    def device(self) -> torch.device:
        """Where the transitions are kept."""
        return self._rows.device

    def filled(self, lane: int = 0) -> int:
        """How many transitions a lane has."""
        return min(int(self._stored[lane]), self._rows.shape[1])

    def store(self, rows: Tensor, counts: Tensor | None = None) -> None:
        """Adds rows `(L, R, W)`, dropping the oldest where there is no room.

        Args:
            rows: of every lane; their last number is their weight.
            counts: how many of them count, the first ones, `(L, 1)` int64; all where it is None.
        """
        if counts is not None:
            self._store_some(rows.to(self.device), counts.to(self.device))
            return
        size = self._rows.shape[1]
        skipped = max(rows.shape[1] - size, 0)
        rows = rows[:, skipped:].to(self.device)
        steps = torch.arange(skipped, skipped + rows.shape[1], device=self.device)
        places = (self._stored + steps) % size + self._first_rows
        self._write(places.view(-1), rows.reshape(-1, rows.shape[-1]))
        self._stored += skipped + rows.shape[1]

    def _store_some(self, rows: Tensor, counts: Tensor) -> None:
        size = self._rows.shape[1]
        steps = torch.arange(rows.shape[1], device=self.device)
        places = (self._stored + steps) % size + self._first_rows
        lasts = (steps < counts) & (steps >= counts - size)
        self._write(places[lasts], rows[lasts])
        self._stored += counts

    def _write(self, places: Tensor, rows: Tensor) -> None:
        self._flat().index_copy_(0, places, rows)
        if self.priorities is not None:
            self.priorities.begin(places, rows[:, -1])

    def draw(self, quantiles: Tensor, sizes: Tensor) -> Tensor:
        """Draws batches of transitions with replacement.

        Args:
            quantiles: uniform numbers in [0, 1), for U batches `(L, U, B)`; by priority, U is 1, as
                what is drawn next depends on what is learned from a batch.
            sizes: of each lane's batches, `(L, 1)`.

        Returns:
            Their places, `(L, U, B)` int64; 0 in a lane that has nothing yet.
        """
        filled = self._stored.clamp(1, self._rows.shape[1]).unsqueeze(2)
        if self.priorities is not None:
            places = self.priorities.draw(quantiles[:, 0], sizes).unsqueeze(1)
        else:
            places = (quantiles.to(self.device) * filled).long()
        return torch.minimum(places, filled - 1)

    def rows(self, places: Tensor) -> Tensor:
        """Returns what is at places `(L, ...)`, with one gather, `(L, ..., W)`."""
        first_rows = self._first_rows.view(-1, *[1] * (places.dim() - 1))
        found = self._flat().index_select(0, (places + first_rows).view(-1))
        return found.view(*places.shape, -1)

    def run(self, places: Tensor, num: int, stride: int) -> tuple[Tensor, Tensor]:
        """Returns what was stored at places and after them.

        Args:
            places: `(L, ...)`.
            num: rows from each place on, N.
            stride: how far apart they are: steps of one environment lie as far apart as there are
                environments.

        Returns:
            Rows, `(L, ..., N, W)`, and whether there is such a row yet, `(L, ..., N)`.
        """
        size = self._rows.shape[1]
        stored = self._stored.view(-1, *[1] * (places.dim() - 1))
        rows_after = (stored - 1 - places) % size
        ahead = torch.arange(num, device=self.device) * stride
        found = self.rows((places.unsqueeze(-1) + ahead) % size)
        return found, ahead <= rows_after.unsqueeze(-1)

    def _flat(self) -> Tensor:
        return self._rows.view(-1, self._rows.shape[-1])

    def reset(self, lane: int) -> None:
        """Forgets what a lane has stored."""
        self._stored[lane] = 0
        self._rows[lane, 0] = 0.0
        if self.priorities is not None:
            self.priorities.reset(lane)

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self._rows, self._stored = keep_rows(self._rows, kept), keep_rows(self._stored, kept)
        self._first_rows = self._first_rows[: len(kept)]
        if self.priorities is not None:
            self.priorities.keep(kept)

    def state_dict(self, lane: int = 0) -> dict[str, Any]:
        """Returns a lane's transitions `(R, W)`, the oldest first, and how many there ever were."""
        places = self._in_order(lane, self.filled(lane))
        state = {"rows": self._rows[lane, places], "stored": int(self._stored[lane])}
        if self.priorities is not None:
            state |= self.priorities.state_dict(lane, places)
        return state

    def load_state_dict(self, state: dict[str, Any], lane: int = 0) -> None:
        """Goes on where `state` was taken; with less room, the oldest transitions are gone."""
        size = self._rows.shape[1]
        rows = state["rows"][-size:]
        self._stored[lane] = state["stored"] if len(state["rows"]) == size else len(rows)
        places = self._in_order(lane, len(rows))
        self._rows[lane, places] = rows.to(self.device)
        if self.priorities is not None:
            self.priorities.load_state_dict(state, lane, places)

    def _in_order(self, lane: int, count: int) -> Tensor:
        """Places of a lane's latest `count` transitions, the oldest first."""
        stored = int(self._stored[lane])
        return torch.arange(stored - count, stored, device=self.device) % self._rows.shape[1]
