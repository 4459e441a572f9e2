"""Random numbers for lanes: each has streams of its own, and draws what it would draw alone."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sweeprl.engine.rows import keep_rows
from sweeprl.functional import normal_at, stream_key, uniform_at

__all__ = ["LaneStreams"]

_AHEAD = 4096
"""Numbers drawn ahead for each lane: one computation serves many small requests."""

_AHEAD_OF_ALL = 4_000_000
"""Most numbers drawn ahead for all lanes together."""


class LaneStreams:
    """Random numbers for L lanes, a stream for each lane and purpose.

    Numbers for a purpose whose name begins with "noise" are standard normal, others uniform in
    [0, 1).

    Args:
        seeds: one for each lane.
        device: where the numbers are needed; they are the same on every device.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self.seeds, self._device = list(seeds), device
        self._streams: dict[str, _Stream] = {}

    def take(self, purpose: str, *shape: int) -> Tensor:
        """Returns the next numbers of each lane, `(L, *shape)`, valid until the next request."""
        return self._stream(purpose).take(math.prod(shape)).view(-1, *shape)

    def batches(
        self, purpose: str, counts: Tensor, sizes: Tensor, shape: tuple[int, int]
    ) -> Tensor:
        """Returns the numbers for the batches of a round, where lanes differ in what they use.

        Args:
            purpose: what they are for.
            counts: batches that each lane uses up, `(L,)` int64.
            sizes: numbers in a batch of each lane, `(L,)` int64.
            shape: U and B, the largest of both.

        Returns:
            `(L, U, B)`; of lane k, batches from `counts[k]` and numbers from `sizes[k]` on are to
            be ignored.
        """
        return self._stream(purpose).batches(counts, sizes, shape)

    def _stream(self, purpose: str) -> _Stream:
        if purpose not in self._streams:
            draw = normal_at if purpose.startswith("noise") else uniform_at
            number = zlib.crc32(purpose.encode())
            keys = torch.tensor([stream_key(seed, number) for seed in self.seeds])
            self._streams[purpose] = _Stream(keys.to(self._device).unsqueeze(1), number, draw)
        return self._streams[purpose]

    def begin(self, lane: int, seed: int) -> None:
        """Gives a lane the streams of another seed, from their beginning."""
        self.seeds[lane] = seed
        for stream in self._streams.values():
            stream.set_lane(lane, seed, 0)

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self.seeds = [self.seeds[lane] for lane in kept]
        for stream in self._streams.values():
            stream.keep(kept)

    def state_dict(self, lane: int = 0) -> dict[str, Any]:
        """Returns a lane's seed and how far each of its streams was read."""
        places = {purpose: stream.place_of(lane) for purpose, stream in self._streams.items()}
        return {"seed": self.seeds[lane], "places": places}

    def load_state_dict(self, state: dict[str, Any], lane: int = 0) -> None:
        """Goes on where `state` was taken."""
        self.begin(lane, state["seed"])
        for purpose, place in state["places"].items():
            self._stream(purpose).set_lane(lane, state["seed"], place)


class _Stream:
    """One purpose's streams: numbers drawn ahead, `(L, W)`, and how many of them are used up."""

    def __init__(
        self, keys: Tensor, purpose: int, draw: Callable[[Tensor, Tensor], Tensor]
    ) -> None:
        self._keys, self._purpose, self._draw = keys, purpose, draw
        self._base = torch.zeros_like(keys)
        self._numbers = torch.empty(len(keys), 0, device=keys.device)
        self._used = 0

    def take(self, count: int) -> Tensor:
        if self._used + count > self._numbers.shape[1]:
            self._go_on_to_fresh_numbers(count)
        start, self._used = self._used, self._used + count
        return self._numbers[:, start : self._used]

    def _go_on_to_fresh_numbers(self, count: int) -> None:
        self._base += self._used
        ahead = min(_AHEAD, _AHEAD_OF_ALL // len(self._keys))
        width = count if count > ahead // 4 else ahead
        places = self._base + torch.arange(width, device=self._base.device)
        self._numbers, self._used = self._draw(self._keys, places), 0

    def batches(self, counts: Tensor, sizes: Tensor, shape: tuple[int, int]) -> Tensor:
        updates, largest = (torch.arange(count, device=self._base.device) for count in shape)
        offsets = updates.unsqueeze(1) * sizes.view(-1, 1, 1) + largest
        drawn = self._draw(self._keys.unsqueeze(2), self._base.unsqueeze(2) + offsets)
        self._base += (counts * sizes).unsqueeze(1)
        return drawn

    def place_of(self, lane: int) -> int:
        return int(self._base[lane, 0]) + self._used

    def set_lane(self, lane: int, seed: int, place: int) -> None:
        self._keys[lane] = stream_key(seed, self._purpose)
        self._base[lane] = place - self._used
        places = self._base[lane] + torch.arange(self._numbers.shape[1], device=self._base.device)
        self._numbers[lane] = self._draw(self._keys[lane], places)

    def keep(self, kept: Sequence[int]) -> None:
        self._keys = keep_rows(self._keys, kept)
        self._base, self._numbers = keep_rows(self._base, kept), keep_rows(self._numbers, kept)
