"""Our ranges as the entries of NNI's search_space.json."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sweeprl.config.ranges import Choice, Float, Int, Normal, PowerOfTwo, same
from sweeprl.errors import ConfigError
from sweeprl.search_spaces.codecs import codec_of, label_of
from sweeprl.search_spaces.grid import is_multiple, multiple_of
from sweeprl.search_spaces.latents import Label
from sweeprl.search_spaces.number_codecs import unrounded_name
from sweeprl.search_spaces.parameters import Kind, Nested

__all__ = ["Entry", "branch_labels", "content", "entry_of"]

_LARGEST_EXACT = 2**53
"""NNI's manager is written in JavaScript, whose integers are exact up to here."""


class Entry(NamedTuple):
    """One parameter as NNI sees it."""

    name: str
    type: str
    value: list[Any]
    decode: Callable[[Any], Any]
    """From NNI's proposal to our value."""
    encode: Callable[[Any], Any] = lambda value: value
    """And back."""


def content(parameters: Mapping[str, Kind], inside: str = "") -> dict[str, Any]:
    """Returns what a search_space.json says of `parameters`.

    Args:
        parameters: the space's, or a branch's.
        inside: the nested choice that the branch belongs to.

    Raises:
        ConfigError: a nested choice lies inside a nested choice.
    """
    shown = {}
    for key, one in parameters.items():
        if inside and isinstance(one, Nested):
            raise ConfigError(
                f"'{key}' must not be a nested choice inside the nested choice '{inside}' for NNI: "
                "its tuners raise a KeyError on those. Write one branch for each combination."
            )
        entry = entry_of(key, one)
        shown[entry.name] = {"_type": entry.type, "_value": entry.value}
    return shown


def entry_of(key: str, one: Kind) -> Entry:
    """Returns what NNI sees of one parameter; a nested choice's proposal is left as it is."""
    match one:
        case Nested():
            return _nested(key, one)
        case Float(step=None) | Normal() | Int(ordered=False) | Choice():
            return _native(key, one)
        case Float() | Int() if _lies_on_multiples(one):
            return _native(key, one)
    codec = codec_of(one)
    name, kind, numbers = codec.name(key), "loguniform", [one.low, one.high]
    match one:
        case Float() | Int():
            name, kind = unrounded_name(key, one), "loguniform" if one.log else "uniform"
        case PowerOfTwo():
            kind, numbers = "quniform", [*numbers, 1]
    return Entry(name, kind, numbers, codec.decode_strictly, codec.encode)


def _nested(key: str, one: Nested) -> Entry:
    labels = branch_labels(one)
    value = [
        {"_name": label, **content(branch.parameters, inside=key)}
        for label, branch in zip(labels, one.branches.values(), strict=True)
    ]
    name = key if _names_are_values(one) else f"choose({key})"
    return Entry(name, "choice", value, lambda proposal: proposal)


def branch_labels(one: Nested) -> list[str]:
    """Returns what NNI calls the branches."""
    return list(one.branches) if _names_are_values(one) else list(one.latent.options)


def _names_are_values(one: Nested) -> bool:
    branches = one.branches.items()
    return all(branch.has_value and same(branch.value, name) for name, branch in branches)


def _lies_on_multiples(one: Float | Int) -> bool:
    """Whether the values are the multiples of the step between the ends, as NNI has them."""
    if one.anchor == "zero" or one.step == 1 and isinstance(one, Int):
        return True
    assert one.step is not None
    return not one.log and is_multiple(one.low, one.step)


def _native(key: str, one: Any) -> Entry:
    codec = codec_of(one)

    def checked(proposal: Any) -> Any:
        if not codec.holds(proposal):
            raise ValueError(f"must lie in {one!r}, but got {proposal!r}")
        return codec.snap(proposal)

    match one:
        case Int(ordered=False):
            return Entry(key, "randint", [one.low, one.high + 1], checked)
        case Float(step=None):
            return Entry(key, "loguniform" if one.log else "uniform", [one.low, one.high], checked)
        case Float() | Int():
            kind = "qloguniform" if one.log else "quniform"
            return Entry(key, kind, [one.low, one.high, _step(one)], checked)
        case Normal():
            kind = ("q" if one.step else "") + ("lognormal" if one.log else "normal")
            step = [one.step] if one.step else []
            return Entry(key, kind, [one.mu, one.sigma, *step], lambda found: _drawn(one, found))
    return _choice(key, one)


def _step(one: Float | Int) -> float | None:
    """The step, with a decimal point where three integers would be read as an `Int`."""
    is_whole = all(isinstance(number, int) for number in (one.low, one.high, one.step))
    return float(one.step) if one.step and is_whole and isinstance(one, Float) else one.step


def _drawn(one: Normal, proposal: Any) -> float:
    """NNI draws from the whole distribution, without cutting its tails."""
    if not one.contains(proposal):
        raise ValueError(f"must lie in {one!r}, but got {proposal!r}")
    return multiple_of(one.step, proposal)


def _choice(key: str, one: Choice) -> Entry:
    needs_text = any(_needs_text(option) for option in one.options)
    shown = [label_of(option) for option in one.options] if needs_text else list(one.options)

    def chosen(proposal: Any) -> Any:
        Label(tuple(shown)).require(proposal)
        index = next(index for index, label in enumerate(shown) if same(label, proposal))
        return copy.deepcopy(one.options[index])

    def label(value: Any) -> Any:
        return next(s for s, option in zip(shown, one.options, strict=True) if same(option, value))

    return Entry(f"json({key})" if needs_text else key, "choice", shown, chosen, label)


def _needs_text(option: Any) -> bool:
    """Whether NNI would refuse the option or give back another one."""
    if isinstance(option, float):
        return not math.isfinite(option)
    is_too_large = isinstance(option, int) and abs(option) > _LARGEST_EXACT
    return option is None or isinstance(option, (list, dict)) or is_too_large
