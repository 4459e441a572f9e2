"""Ranges of numbers: steps, powers of two, 1 - x and quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any, TypeVar

from sweeprl.config.ranges import Float, Int, Normal, OneMinus, PowerOfTwo, Range
from sweeprl.search_spaces.codec import Codec, is_number
from sweeprl.search_spaces.grid import multiple, multiple_of, to_grid
from sweeprl.search_spaces.latents import Label, Real, Whole

__all__ = ["NUMBER_CODECS", "unrounded_name"]

RangeT = TypeVar("RangeT", bound=Range)

_TAIL = 1e-6
"""Share of a normal distribution that is cut off at each end, beyond 4.75 deviations."""


class _NumberCodec(Codec[RangeT]):
    """A range of numbers, made from an interval by a monotonous transform."""

    def encode(self, value: Any) -> Any:
        """Returns the latent nearest to the number `value`."""
        if not is_number(value) or math.isnan(value):
            raise TypeError
        low, high = self.ends()
        return self._encode(min(max(value, low), high))

    def _encode(self, value: float) -> Any:
        raise NotImplementedError

    def ends(self) -> list[Any]:
        """Returns the least and the largest value."""
        latent = self.latent
        assert not isinstance(latent, Label)
        return sorted([self.decode(latent.low), self.decode(latent.high)])

    def largest(self, bound: float) -> Any:
        """Returns the largest value up to `bound`; None if there is none."""
        low, high = self.ends()
        if bound < low:
            return None
        return high if bound >= high else max(low, self._floor(bound))

    def _floor(self, bound: float) -> Any:
        return bound


class _FloatCodec(_NumberCodec[Float]):
    @property
    def latent(self) -> Real:
        step = self.range.step if self._is_native else None
        return Real(self.range.low, self.range.high, self.range.log, step)

    @property
    def _is_native(self) -> bool:
        """Whether tuners know such steps themselves."""
        return self.range.anchor == "low" and not self.range.log

    def name(self, key: str) -> str:
        if self.range.step is None or self._is_native:
            return key
        return unrounded_name(key, self.range)

    def decode(self, latent: Any) -> float:
        inside = min(max(float(latent), self.range.low), self.range.high)
        if self.range.step is None:
            return float(inside)
        return float(to_grid(inside, self.range, round))

    def _encode(self, value: float) -> float:
        return self.decode(value)

    def _floor(self, bound: float) -> float:
        if self.range.step is None:
            return float(bound)
        return float(to_grid(bound, self.range, math.floor))


class _IntCodec(_NumberCodec[Int]):
    @property
    def latent(self) -> Real | Whole:
        if self._is_native:
            return Whole(self.range.low, self.range.high, self.range.log, self.range.step)
        return Real(self.range.low, self.range.high, self.range.log)

    @property
    def _is_native(self) -> bool:
        is_stepped_log = self.range.log and self.range.step != 1
        return self.range.anchor == "low" and not is_stepped_log

    def name(self, key: str) -> str:
        if not self._is_native:
            return unrounded_name(key, self.range)
        return key if self.range.ordered else f"unordered({key})"

    def decode(self, latent: Any) -> int:
        inside = min(max(latent, self.range.low), self.range.high)
        return int(to_grid(inside, self.range, round))

    def _encode(self, value: float) -> float | int:
        return self.decode(value) if self._is_native else float(value)

    def _floor(self, bound: float) -> int:
        return int(to_grid(bound, self.range, math.floor))


class _PowerOfTwoCodec(_NumberCodec[PowerOfTwo]):
    @property
    def latent(self) -> Whole:
        return Whole(self.range.low, self.range.high)

    def name(self, key: str) -> str:
        return f"log2({key})"

    def decode(self, latent: Any) -> int:
        return int(2 ** self.latent.clip(latent))

    def _encode(self, value: float) -> int:
        return self.latent.clip(math.log2(value))

    def _floor(self, bound: float) -> int:
        return int(2 ** (math.frexp(bound)[1] - 1))


class _OneMinusCodec(_NumberCodec[OneMinus]):
    @property
    def latent(self) -> Real:
        return Real(self.range.low, self.range.high, log=True)

    def name(self, key: str) -> str:
        return f"1 - {key}"

    def decode(self, latent: Any) -> float:
        return 1.0 - self.latent.clip(float(latent))

    def _encode(self, value: float) -> float:
        return self.latent.clip(1.0 - value)

    def _floor(self, bound: float) -> float:
        return float(bound)


class _NormalCodec(_NumberCodec[Normal]):
    @property
    def latent(self) -> Real:
        return Real(_TAIL, 1 - _TAIL)

    @property
    def _distribution(self) -> NormalDist:
        return NormalDist(self.range.mu, self.range.sigma)

    def name(self, key: str) -> str:
        step = [] if self.range.step is None else [self.range.step]
        numbers = ", ".join(repr(one) for one in (self.range.mu, self.range.sigma, *step))
        return f"{'lognormal' if self.range.log else 'normal'}_cdf({key}, {numbers})"

    def decode(self, latent: Any) -> float:
        normal = self._distribution.inv_cdf(self.latent.clip(latent))
        return multiple_of(self.range.step, math.exp(normal) if self.range.log else normal)

    def _encode(self, value: float) -> float:
        if self.range.log:
            value = math.log(value) if value > 0 else -math.inf
        return self.latent.clip(self._distribution.cdf(value))

    def _floor(self, bound: float) -> float:
        step = self.range.step
        return float(bound) if step is None else float(multiple(bound, step, math.floor))


def unrounded_name(key: str, range: Float | Int) -> str:
    """Returns the name of a number that is rounded to the steps of `range`."""
    word = "unrounded" if isinstance(range, Float) else "unrounded_int"
    low = ", low" if range.anchor == "low" else ""
    return f"{word}({key}, {range.step!r}{low})"


NUMBER_CODECS: dict[type[Range], Callable[[Any], Codec[Any]]] = {
    Float: _FloatCodec,
    Int: _IntCodec,
    PowerOfTwo: _PowerOfTwoCodec,
    OneMinus: _OneMinusCodec,
    Normal: _NormalCodec,
}
"""What makes the codec of each kind of range."""
