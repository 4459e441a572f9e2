"""Random numbers for lanes: each has a stream of its own, and draws what it would draw alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["LaneStreams"]

_BLOCK = 4096
"""Numbers drawn ahead for each lane: one call to a generator serves many small requests."""


class LaneStreams:
    """Standard normal and uniform numbers for L lanes.

    Args:
        seeds: one for each lane.
        device: where the numbers are needed; they are drawn on the CPU, so that a seed means the
            same everywhere.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._device = device
        self._blocks = {"normal": _Block(torch.randn), "uniform": _Block(torch.rand)}

    def normal(self, *shape: int) -> Tensor:
        """Returns standard normal numbers, `(L, *shape)`."""
        return self._draw("normal", shape)

    def uniform(self, *shape: int) -> Tensor:
        """Returns numbers uniform in [0, 1), `(L, *shape)`."""
        return self._draw("uniform", shape)

    def _draw(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        numbers = self._blocks[kind].take(math.prod(shape), self._generators)
        return numbers.view(-1, *shape).to(self._device)

    def state_dict(self) -> dict[str, Any]:
        """Returns what `load_state_dict` needs to go on with the same numbers."""
        return {
            "generators": [generator.get_state() for generator in self._generators],
            "blocks": {kind: (block.numbers, block.used) for kind, block in self._blocks.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.set_state(saved)
        for kind, (numbers, used) in state["blocks"].items():
            self._blocks[kind].numbers, self._blocks[kind].used = numbers, used


class _Block:
    """Numbers drawn ahead, `(L, _BLOCK)`, and how many of them are used up."""

    def __init__(self, draw: Callable[..., Tensor]) -> None:
        self._draw = draw
        self.numbers: Tensor | None = None
        self.used = 0

    def take(self, count: int, generators: list[torch.Generator]) -> Tensor:
        if count > _BLOCK // 4:
            return self._fresh(count, generators)
        if self.numbers is None or self.used + count > _BLOCK:
            self.numbers, self.used = self._fresh(_BLOCK, generators), 0
        start, self.used = self.used, self.used + count
        return self.numbers[:, start : self.used]

    def _fresh(self, count: int, generators: list[torch.Generator]) -> Tensor:
        return torch.stack([self._draw(count, generator=generator) for generator in generators])
