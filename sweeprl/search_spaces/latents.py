"""What a tuner sees of a range: a plain interval, integers, or labels.

Every range of ours is made from one of these three by `codecs`, so that any tuner that knows them
serves all ranges, and two tuners yield the same configs.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from sweeprl.config.ranges import same

__all__ = ["Label", "Latent", "Real", "Whole"]


@dataclass(frozen=True)
class Real:
    """A real number in [low, high], uniform, uniform in its logarithm, or in steps from `low`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def draw(self, rng: random.Random) -> float:
        """Draws uniformly."""
        if self.step is not None:
            return self.low + self.step * rng.randint(0, round((self.high - self.low) / self.step))
        return self._at(rng.random())

    def middle(self) -> float:
        """Returns the number with as much below as above."""
        return self._at(0.5)

    def _at(self, share: float) -> float:
        if not self.log:
            return self.low + share * (self.high - self.low)
        low, high = math.log(self.low), math.log(self.high)
        return self.clip(math.exp(low + share * (high - low)))

    def require(self, value: Any) -> None:
        """Refuses what lies outside.

        Raises:
            ValueError: it does.
        """
        _require(self.low, self.high, value)

    def clip(self, value: float) -> float:
        """Returns the nearest number of the interval."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True)
class Whole:
    """An integer in [low, high], in steps from `low`, or uniform in its logarithm."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    def draw(self, rng: random.Random) -> int:
        """Draws uniformly."""
        if self.log:
            return self.clip(Real(self.low - 0.5, self.high + 0.5, log=True).draw(rng))
        return rng.randrange(self.low, self.high + 1, self.step)

    def middle(self) -> int:
        """Returns an integer with about as much below as above."""
        return self.clip(Real(self.low, self.high, self.log).middle())

    def require(self, value: Any) -> None:
        """Refuses what lies outside.

        Raises:
            ValueError: it does.
        """
        _require(self.low, self.high, value)

    def clip(self, value: float) -> int:
        """Returns the nearest integer of the grid."""
        inside = min(max(value, self.low), self.high)
        return self.low + self.step * round((inside - self.low) / self.step)


@dataclass(frozen=True)
class Label:
    """One of several words or numbers, without order."""

    options: tuple[Any, ...]

    def draw(self, rng: random.Random) -> Any:
        """Draws uniformly."""
        return rng.choice(self.options)

    def middle(self) -> Any:
        """Returns the option in the middle of the list."""
        return self.options[len(self.options) // 2]

    def require(self, value: Any) -> None:
        """Refuses what is not among the options.

        Raises:
            ValueError: it is not.
        """
        if not any(same(option, value) for option in self.options):
            raise ValueError(f"must be one of {list(self.options)}, but got {value!r}")


def _require(low: float, high: float, value: Any) -> None:
    slack = 1e-9 * max(abs(low), abs(high))
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (is_number and low - slack <= value <= high + slack):
        raise ValueError(f"must be a number from {low} to {high}, but got {value!r}")


Latent = Real | Whole | Label
