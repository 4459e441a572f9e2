"""The entries of NNI's search_space.json as our ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeprl.config.ranges import Choice, Float, Int, Normal
from sweeprl.errors import ConfigError, did_you_mean
from sweeprl.search_spaces.codec import is_number
from sweeprl.search_spaces.grid import is_multiple
from sweeprl.search_spaces.latents import Label, Latent, Real, Whole
from sweeprl.search_spaces.naming import branch_of, parameters_of, parts_of
from sweeprl.search_spaces.parameters import Branch, Kind, Nested

__all__ = ["nni_parameters"]


def nni_parameters(data: Mapping[str, Any]) -> dict[str, Kind]:
    """Returns the ranges of a search_space.json.

    Raises:
        ConfigError: naming the parameter, what is wrong and the rule.
    """
    parameters: dict[str, Kind] = {}
    for name, entry in data.items():
        kind, value = _type_and_value(name, entry)
        try:
            key, one = _parameter(name, kind, value)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from None
        parameters[key] = one
    return parameters


def _type_and_value(name: str, entry: Any) -> tuple[str, list[Any]]:
    if not (isinstance(entry, Mapping) and set(entry) == {"_type", "_value"}):
        raise ConfigError(
            f"{name}: a parameter must be a mapping with `_type` and `_value`, but got {entry!r}. "
            'A constant is {"_type": "choice", "_value": [...]} with one option.'
        )
    kind, value = entry["_type"], entry["_value"]
    if kind not in _NUMBERS_OF:
        raise ConfigError(
            f"{name}: `_type` must be one of {', '.join(_NUMBERS_OF)}, but got '{kind}'."
            f"{did_you_mean(str(kind), _NUMBERS_OF)}"
        )
    is_list = isinstance(value, (list, tuple))
    count = _NUMBERS_OF[kind]
    if not is_list or (count and (len(value) != count or not all(map(is_number, value)))):
        wanted = f"a list of {count} numbers" if count else "a list of options"
        raise ConfigError(f"{name}: `_value` of {kind} must be {wanted}, but got {value!r}.")
    return kind, list(value)


_NUMBERS_OF = {
    "choice": 0,
    "randint": 2,
    "uniform": 2,
    "quniform": 3,
    "loguniform": 2,
    "qloguniform": 3,
    "normal": 2,
    "qnormal": 3,
    "lognormal": 2,
    "qlognormal": 3,
}
"""How many numbers each type takes."""


def _parameter(name: str, kind: str, value: list[Any]) -> tuple[str, Kind]:
    key, word, _ = parts_of(name)
    if kind == "choice" and any(_is_branch(option) for option in value):
        return key, _nested(word, value)
    if not word:
        return name, _own(kind, value)
    (found,) = parameters_of({name: _latent(kind, value)}).items()
    return found


def _latent(kind: str, value: list[Any]) -> Latent:
    match kind, value:
        case "uniform" | "loguniform", [low, high]:
            return Real(low, high, log=kind == "loguniform")
        case "quniform", [int(low), int(high), 1]:
            return Whole(low, high)
        case "choice", options:
            return Label(tuple(options))
    return Label(())


def _is_branch(option: Any) -> bool:
    return isinstance(option, Mapping) and "_name" in option


def _nested(word: str, options: list[Any]) -> Nested:
    if not all(_is_branch(option) for option in options):
        raise ConfigError(
            f"either all options or none must have a `_name`, but got {options!r}. "
            "Give each option a `_name`."
        )
    branches = {}
    for option in options:
        label = str(option["_name"])
        children = {name: entry for name, entry in option.items() if name != "_name"}
        name, values = branch_of(word, label)
        branches[name] = Branch(parameters=nni_parameters(children), **values)
    return Nested(branches=branches)


def _own(kind: str, value: list[Any]) -> Kind:
    """The range of a parameter that bears its own key."""
    match kind, value:
        case "choice", options:
            return Choice(tuple(options))
        case "randint", [low, high] if high - low == 1:
            return Choice((low,))
        case "randint", [low, high]:
            return Int(low, high - 1, ordered=False)
        case "uniform" | "loguniform", [low, high]:
            return Float(low, high, log=kind == "loguniform")
        case "quniform" | "qloguniform", [low, high, step]:
            return _stepped(low, high, step, log=kind == "qloguniform")
    mu, sigma, *steps = value
    return Normal(mu, sigma, log="log" in kind, step=steps[0] if steps else None)


def _stepped(low: Any, high: Any, step: Any, log: bool) -> Float | Int:
    is_whole = all(isinstance(number, int) for number in (low, high, step))
    if is_whole and step == 1:
        return Int(low, high, log)
    on_grid = step > 0 and not log and is_multiple(low, step) and is_multiple(high, step)
    anchor: Any = "low" if on_grid else "zero"
    return Int(low, high, log, step, anchor) if is_whole else Float(low, high, log, step, anchor)
