"""Tuning ranges: what a frame's config says of how each of its fields may be searched.

A range stands in the field's annotation, beside its valid range and its default:

    learning_rate: Annotated[float, Field(gt=0), Float(1e-5, 1e-2, log=True)] = 1e-3

`ranges` reads them back. A file of ranges says the same in words, `{type: float, low: 1e-5, high:
1e-2, log: true}`. Nothing here knows a tuner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel

from sweeprl.errors import ConfigError

__all__ = [
    "Choice",
    "Float",
    "Inert",
    "Int",
    "Masked",
    "Normal",
    "OneMinus",
    "PowerOfTwo",
    "Range",
    "Traced",
    "inert",
    "masked",
    "ranges",
    "same",
    "traced",
]

Anchor = Literal["low", "zero"]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal; `true` is not 1, although Python says so."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


class Range:
    """What all ranges have in common: a way to ask whether a value lies inside."""

    def contains(self, value: Any) -> bool:
        """Whether `value` lies between the ends, or is one of the options."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Interval(Range):
    low: int | float
    high: int | float

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if not (_is_number(value) and math.isfinite(value)):
                raise ConfigError(f"`{name}` must be a finite number, but got {value!r}.")
        if not self.low < self.high:
            raise ConfigError(
                f"`low < high` must hold, but got low={self.low}, high={self.high}. "
                "A single value is a choice with one option."
            )

    def contains(self, value: Any) -> bool:
        """Whether `value` lies between the ends."""
        return _is_number(value) and self.low <= value <= self.high


def _check_log(low: float) -> None:
    if low <= 0:
        raise ConfigError(f"`low > 0` must hold on a log scale, but got low={low}.")


def _check_step(step: Any) -> None:
    if not (_is_number(step) and 0 < step < math.inf):
        raise ConfigError(f"`step > 0` must hold, but got step={step!r}.")


def _check_grid(low: float, high: float, step: float) -> None:
    width, exact_step = Decimal(str(high)) - Decimal(str(low)), Decimal(str(step))
    rest = width % exact_step
    if rest:
        last = Decimal(str(high)) - rest
        remedy = last if last > low else last + exact_step
        raise ConfigError(
            f"`high` must be a whole number of steps above `low`, but got low={low}, high={high}, "
            f"step={step}. Write high={remedy}, or anchor='zero' for the multiples of the step."
        )


@dataclass(frozen=True)
class Float(_Interval):
    """A real number in [low, high], uniform, or uniform in its logarithm.

    Args:
        low: its least value.
        high: its largest value.
        log: whether it is uniform in its logarithm.
        step: distance of neighbouring values; None allows every number.
        anchor: where steps are counted from: `low`, or zero, where a drawn number is rounded to a
            multiple of the step and cut to [low, high].
    """

    log: bool = False
    step: int | float | None = None
    anchor: Anchor = "low"
    type: Literal["float"] = field(default="float", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log:
            _check_log(self.low)
        if self.step is not None:
            _check_step(self.step)
            if self.anchor == "low":
                _check_grid(self.low, self.high, self.step)
        elif self.anchor == "zero":
            raise ConfigError("`anchor='zero'` must have a `step`, but has none. Add one.")


@dataclass(frozen=True)
class Int(_Interval):
    """An integer in [low, high], both ends included.

    Args:
        low: its least value.
        high: its largest value.
        log: whether it is uniform in its logarithm.
        step: distance of neighbouring values.
        anchor: where steps are counted from, as in `Float`.
        ordered: whether neighbours are alike; NNI's `randint` takes them for unrelated.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1
    anchor: Anchor = "low"
    ordered: bool = True
    type: Literal["int"] = field(default="int", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if not isinstance(value, int):
                raise ConfigError(f"`{name}` must be an integer, but got {value!r}.")
        _check_step(self.step)
        if self.log:
            _check_log(self.low)
        if self.anchor == "low":
            _check_grid(self.low, self.high, self.step)
        elif self.step == 1:
            raise ConfigError("`anchor='zero'` must have a `step` above 1. Leave the anchor out.")
        if not self.ordered and (self.log or self.step != 1):
            raise ConfigError(
                "Unordered integers must have neither `log` nor `step`. Leave `ordered` out."
            )

    def contains(self, value: Any) -> bool:
        """Whether `value` is an integer between the ends."""
        return isinstance(value, int) and super().contains(value)


@dataclass(frozen=True)
class PowerOfTwo(_Interval):
    """2 to the power of an integer in [low, high], both ends included."""

    low: int
    high: int
    type: Literal["power_of_two"] = field(default="power_of_two", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (isinstance(self.low, int) and isinstance(self.high, int) and self.low >= 0):
            raise ConfigError(
                f"Exponents must be integers from 0 on, but got low={self.low}, high={self.high}."
            )

    def contains(self, value: Any) -> bool:
        """Whether `value` is an integer between the powers."""
        return _is_number(value) and isinstance(value, int) and 2**self.low <= value <= 2**self.high


@dataclass(frozen=True)
class OneMinus(_Interval):
    """x whose distance to one, 1 - x, lies in [low, high] and is uniform in its logarithm.

    For discounts and lambdas, where .99 and .999 are as far apart as .9 and .99.
    """

    type: Literal["one_minus"] = field(default="one_minus", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_log(self.low)

    def contains(self, value: Any) -> bool:
        """Whether `value` lies between the ends."""
        return _is_number(value) and 1 - self.high <= value <= 1 - self.low


@dataclass(frozen=True)
class Normal(Range):
    """A normally distributed number, or one whose logarithm is.

    Args:
        mu: mean of the number, or of its logarithm.
        sigma: standard deviation likewise.
        log: whether the logarithm is normal.
        step: distance of neighbouring values, counted from zero; None allows every number.
    """

    mu: int | float
    sigma: int | float
    log: bool = False
    step: int | float | None = None
    type: Literal["normal"] = field(default="normal", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not (_is_number(self.mu) and math.isfinite(self.mu)):
            raise ConfigError(f"`mu` must be a finite number, but got {self.mu!r}.")
        if not (_is_number(self.sigma) and 0 < self.sigma < math.inf):
            raise ConfigError(f"`sigma > 0` must hold, but got sigma={self.sigma!r}.")
        if self.step is not None:
            _check_step(self.step)

    def contains(self, value: Any) -> bool:
        """Whether `value` has a density above zero."""
        is_finite = _is_number(value) and math.isfinite(value)
        return is_finite and (not self.log or value > 0 or (self.step is not None and value == 0))


@dataclass(frozen=True)
class Choice(Range):
    """One of several values, of any kind that JSON has; one option makes a constant."""

    options: tuple[Any, ...]
    type: Literal["choice"] = field(default="choice", kw_only=True, repr=False)

    def __post_init__(self) -> None:
        options = tuple(_plain(option) for option in self.options)
        object.__setattr__(self, "options", options)
        if not options:
            raise ConfigError("`options` must hold at least one value, but is empty.")
        for index, option in enumerate(options):
            for other in options[:index]:
                if option == other:
                    raise ConfigError(
                        f"Options must differ from each other, but {other!r} equals {option!r}: "
                        "tuners could not tell them apart. Leave one out, or give them names in a "
                        "nested choice."
                    )

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the options."""
        return any(same(option, value) for option in self.options)


def _plain(value: Any) -> Any:
    """`value` with tuples as lists, as JSON would give it back."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(one) for key, one in value.items()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float) and not math.isnan(value):
        return value
    raise ConfigError(
        f"An option must be text, a number, true, false, null, a list or a mapping with text keys, "
        f"but got {value!r}. Write a class as its importable name."
    )


@dataclass(frozen=True)
class Traced:
    """Marks a number that may differ between the lanes of one engine.

    Traced numbers enter the learning rule as tensors. What is neither traced nor masked is
    structural: it decides shapes or control flow, and agents that are trained together share it.
    """


@dataclass(frozen=True)
class Masked:
    """Marks a count that may differ between the lanes of one engine.

    Lanes with batches of about one size are computed together. Those that have no update to make
    are left out on a CPU, and masked on a GPU.
    """


@dataclass(frozen=True)
class Inert:
    """Marks a setting that is kept for configs of the predecessor and has no effect."""


def ranges(config: type[BaseModel]) -> dict[str, Range]:
    """Returns the tuning range of each field of `config` that declares one, by field name."""
    return {
        name: mark
        for name, info in config.model_fields.items()
        for mark in info.metadata
        if isinstance(mark, Range)
    }


def traced(config: type[BaseModel]) -> tuple[str, ...]:
    """Returns the names of the fields of `config` that may differ between lanes."""
    return _marked(config, Traced)


def masked(config: type[BaseModel]) -> tuple[str, ...]:
    """Returns the names of the counts of `config` that may differ between lanes."""
    return _marked(config, Masked)


def inert(config: type[BaseModel]) -> tuple[str, ...]:
    """Returns the names of the fields of `config` that have no effect."""
    return _marked(config, Inert)


def _marked(config: type[BaseModel], kind: type) -> tuple[str, ...]:
    fields = config.model_fields.items()
    return tuple(
        name for name, info in fields if any(isinstance(mark, kind) for mark in info.metadata)
    )
