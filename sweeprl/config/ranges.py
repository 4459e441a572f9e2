"""Tuning ranges: what a frame's config says of how each of its fields may be searched.

A range stands in the field's annotation, beside its valid range and its default:

    learning_rate: Annotated[float, Field(gt=0), Float(1e-5, 1e-2, log=True)] = 1e-3

`ranges` reads them back. Nothing here knows a tuner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from sweeprl.errors import ConfigError

__all__ = [
    "Choice",
    "Float",
    "Int",
    "Masked",
    "OneMinus",
    "PowerOfTwo",
    "Range",
    "Traced",
    "masked",
    "ranges",
    "traced",
]


class Range:
    """What all ranges have in common: a way to ask whether a value lies inside."""

    def contains(self, value: Any) -> bool:
        """Whether a tuner using this range could propose `value`."""
        raise NotImplementedError


def _check_order(low: float, high: float) -> None:
    if not low < high:
        raise ConfigError(f"`low < high` must hold, but got low={low}, high={high}.")


@dataclass(frozen=True)
class _Interval(Range):
    low: float
    high: float

    def __post_init__(self) -> None:
        _check_order(self.low, self.high)

    def contains(self, value: Any) -> bool:
        """Whether a tuner using this range could propose `value`."""
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True)
class Float(_Interval):
    """A real number in [low, high], uniform, or uniform in its logarithm."""

    log: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.log and self.low <= 0:
            raise ConfigError(f"`low > 0` must hold on a log scale, but got low={self.low}.")


@dataclass(frozen=True)
class Int(_Interval):
    """An integer in [low, high], both ends included."""

    log: bool = False

    def contains(self, value: Any) -> bool:
        """Whether a tuner using this range could propose `value`."""
        return isinstance(value, int) and super().contains(value)


@dataclass(frozen=True)
class PowerOfTwo(_Interval):
    """2 to the power of an integer in [low, high], both ends included."""

    def contains(self, value: Any) -> bool:
        """Whether a tuner using this range could propose `value`."""
        return isinstance(value, int) and 2**self.low <= value <= 2**self.high


@dataclass(frozen=True)
class OneMinus(_Interval):
    """x whose distance to one, 1 - x, lies in [low, high] and is uniform in its logarithm.

    For discounts and lambdas, where .99 and .999 are as far apart as .9 and .99.
    """

    def contains(self, value: Any) -> bool:
        """Whether a tuner using this range could propose `value`."""
        return isinstance(value, (int, float)) and super().contains(1 - value)


@dataclass(frozen=True)
class Choice(Range):
    """One of several values."""

    options: tuple[Any, ...]

    def contains(self, value: Any) -> bool:
        """Whether a tuner using this range could propose `value`."""
        return value in self.options


@dataclass(frozen=True)
class Traced:
    """Marks a number that may differ between the lanes of one engine.

    Traced numbers enter the learning rule as tensors. What is neither traced nor masked is
    structural: it decides shapes or control flow, and agents that are trained together share it.
    """


@dataclass(frozen=True)
class Masked:
    """Marks a count that may differ between the lanes of one engine, at the price of the largest.

    All lanes take as many rows and updates as the lane that needs most; what the others have too
    much of is masked.
    """


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


def _marked(config: type[BaseModel], kind: type) -> tuple[str, ...]:
    fields = config.model_fields.items()
    return tuple(
        name for name, info in fields if any(isinstance(mark, kind) for mark in info.metadata)
    )
