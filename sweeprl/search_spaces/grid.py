"""Rounding to steps, so that .1 * 3 is .3 and a floor does not fall a step short."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal

from sweeprl.config.ranges import Float, Int

__all__ = ["is_multiple", "multiple", "multiple_of", "to_grid"]

ToWhole = Callable[[float], int]
"""`round` or `math.floor`."""


def to_grid(value: float, range: Float | Int, to_whole: ToWhole) -> int | float:
    """Returns `value` on the range's grid: steps from `low`, or multiples cut to the ends."""
    step = range.step
    assert step is not None
    if range.anchor == "low":
        count = to_whole((value - range.low) / step + _slack(to_whole))
        moved = _exactly(range.low, count, step)
    else:
        moved = multiple(value, step, to_whole)
    return min(max(moved, range.low), range.high)


def multiple_of(step: float | None, value: float) -> float:
    """Returns the multiple of `step` nearest to `value`."""
    return float(value) if step is None else float(multiple(value, step, round))


def multiple(value: float, step: float, to_whole: ToWhole) -> int | float:
    """Returns a multiple of `step` near `value`, as `to_whole` rounds."""
    return _exactly(0, to_whole(value / step + _slack(to_whole)), step)


def _slack(to_whole: ToWhole) -> float:
    """What keeps `floor` from falling a step short where a quotient is a hair below a number."""
    return 1e-9 if to_whole is math.floor else 0.0


def _exactly(start: float, count: int, step: float) -> int | float:
    """`start + count * step` to as many decimals as `start` and `step` are written with."""
    if isinstance(start, int) and isinstance(step, int):
        return start + count * step
    return round(start + count * step, _decimals([start, step]))


def _decimals(numbers: Sequence[float]) -> int:
    exponents = (Decimal(repr(number)).as_tuple().exponent for number in numbers)
    return max(0, *(-exponent for exponent in exponents if isinstance(exponent, int)))


def is_multiple(number: float, step: float) -> bool:
    """Whether `number` is a multiple of `step`, up to rounding errors."""
    return math.isclose(number / step, round(number / step), abs_tol=1e-9)
