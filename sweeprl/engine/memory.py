"""What agents carry from step to step of an episode while they act."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sweeprl.engine.rows import keep_rows

__all__ = ["ActingMemory"]


class ActingMemory:
    """Numbers for each of E environments of L lanes, 0 where an episode begins.

    They stay where they are and are changed in place, so that a CUDA graph can hold the change.

    Args:
        num_lanes: L.
        num_envs: E.
        size: numbers for each environment, M.
        device: where they lie.
    """

    def __init__(self, num_lanes: int, num_envs: int, size: int, device: torch.device) -> None:
        self.numbers = torch.zeros(num_lanes, num_envs, size, device=device)
        """`(L, E, M)`"""
        self._none_begins = torch.zeros(num_lanes, num_envs, dtype=torch.bool, device=device)

    @property
    def num_envs(self) -> int:
        """E."""
        return self.numbers.shape[1]

    def since(self, begins: Tensor | None) -> Tensor:
        """Returns the numbers, those of environments where an episode begins `(L, E)` at 0."""
        begins = self._none_begins if begins is None else begins
        return self.numbers.masked_fill(begins.unsqueeze(2), 0.0)

    def reset(self, lane: int) -> None:
        """Forgets what a lane carried."""
        self.numbers[lane] = 0.0

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self.numbers = keep_rows(self.numbers, kept)
        self._none_begins = self._none_begins[: len(kept)]

    def state_dict(self, lane: int = 0) -> Tensor:
        """Returns what a lane carries, `(E, M)`."""
        return self.numbers[lane].clone()

    def load_state_dict(self, state: Tensor, lane: int = 0) -> None:
        """Goes on where `state` was taken."""
        self.numbers[lane] = state.to(self.numbers.device)
