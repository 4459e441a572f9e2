"""What every codec does: it makes the values of a range from what a tuner sees."""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

from sweeprl.config.ranges import Range, same
from sweeprl.search_spaces.latents import Latent

__all__ = ["Codec", "is_number"]

RangeT = TypeVar("RangeT", bound=Range)


class Codec(Generic[RangeT]):
    """Makes values of a range from a latent, and back.

    Args:
        range: what is encoded.
    """

    def __init__(self, range: RangeT) -> None:
        self.range = range

    @property
    def latent(self) -> Latent:
        """What a tuner sees."""
        raise NotImplementedError

    def name(self, key: str) -> str:
        """Returns the name of the latent of the parameter `key`."""
        raise NotImplementedError

    def decode(self, latent: Any) -> Any:
        """Returns the value, a plain Python object."""
        raise NotImplementedError

    def decode_strictly(self, latent: Any) -> Any:
        """Returns the value.

        Raises:
            ValueError: a tuner cannot have proposed the latent.
        """
        self.latent.require(latent)
        return self.decode(latent)

    def encode(self, value: Any) -> Any:
        """Returns the latent of the range's value nearest to `value`.

        Raises:
            TypeError: nothing of the range is near.
        """
        raise NotImplementedError

    def ends(self) -> list[Any]:
        """Returns the outermost values, or all options."""
        raise NotImplementedError

    def largest(self, bound: float) -> Any:
        """Returns the largest value up to `bound`; None if there is none."""
        raise NotImplementedError

    def snap(self, value: Any) -> Any:
        """Returns the range's value nearest to `value`."""
        return self.decode(self.encode(value))

    def holds(self, value: Any) -> bool:
        """Whether a tuner can propose `value`, up to rounding errors of floats."""
        try:
            nearest = self.snap(value)
        except TypeError:
            return False
        if isinstance(nearest, float) and is_number(value):
            return math.isclose(nearest, value, rel_tol=1e-9, abs_tol=1e-12)
        return same(nearest, value)


def is_number(value: Any) -> bool:
    """Whether `value` is a number; `true` is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
