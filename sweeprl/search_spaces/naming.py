"""Reading a range back from the name of its latent, see `codecs` for how names are made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from sweeprl.config.ranges import Choice, Float, Int, Normal, OneMinus, PowerOfTwo
from sweeprl.errors import ConfigError
from sweeprl.search_spaces.latents import Label, Latent, Real, Whole
from sweeprl.search_spaces.parameters import Branch, Kind, Nested

__all__ = ["branch_of", "parameters_of", "parts_of"]

_BRANCH = re.compile(r"([^\s\[\]()]+)\[([^\[\]]+)\]\.(.+)")
_CALL = re.compile(r"(\w+)\((.+)\)")
_ONE_MINUS = re.compile(r"1 - (\S+)")


def parameters_of(latents: Mapping[str, Latent]) -> dict[str, Kind]:
    """Returns the ranges that `latents` were made from.

    Args:
        latents: by name; those of branches may be there or not.

    Raises:
        ConfigError: a name says something that does not fit its latent.
    """
    children: dict[str, dict[str, dict[str, Latent]]] = {}
    own: dict[str, Latent] = {}
    for name, latent in latents.items():
        found = _BRANCH.fullmatch(name)
        if found:
            key, branch, rest = found.groups()
            children.setdefault(key, {}).setdefault(branch, {})[rest] = latent
        else:
            own[name] = latent
    parameters: dict[str, Kind] = {}
    for name, latent in own.items():
        key, word, arguments = parts_of(name)
        if word == "choose" or key in children:
            parameters[key] = _nested(key, word, latent, children.pop(key, {}))
        else:
            parameters[key] = _range(name, word, arguments, latent)
    if children:
        key = next(iter(children))
        raise ConfigError(
            f"A choice named '{key}' must be there, since parameters of its branches are, but is "
            "missing."
        )
    return parameters


def parts_of(name: str) -> tuple[str, str, list[str]]:
    """Returns the key, the transform and its arguments that a latent's name tells of."""
    one_minus, call = _ONE_MINUS.fullmatch(name), _CALL.fullmatch(name)
    if one_minus:
        return one_minus[1], "one_minus", []
    if call:
        key, *arguments = call[2].split(", ")
        return key, call[1], arguments
    return name, "", []


def _nested(
    key: str, word: str, latent: Latent, children: Mapping[str, Mapping[str, Latent]]
) -> Nested:
    if not isinstance(latent, Label):
        raise ConfigError(f"'{key}' must be a choice, since it has branches, but is {latent}.")
    branches = {}
    for label in latent.options:
        name, values = branch_of(word, str(label))
        branches[name] = Branch(parameters=parameters_of(children.get(name, {})), **values)
    return Nested(branches=branches)


def branch_of(word: str, label: str) -> tuple[str, dict[str, Any]]:
    """Returns name and `value`, if it has one, of the branch that a tuner calls `label`."""
    if word != "choose":
        return label, {"value": label}
    name, equals, text = label.partition(" = ")
    return name, {"value": json.loads(text)} if equals else {}


def _range(name: str, word: str, arguments: list[str], latent: Latent) -> Kind:
    try:
        return _READERS[word, type(latent)](latent, *map(_argument, arguments))
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"A parameter's name must be a dotted path, or one that `to_optuna` or `to_nni` wrote, "
            f"for its kind of range, but got '{name}' with {latent}."
        ) from None


def _argument(text: str) -> Any:
    return text if text == "low" else json.loads(text)


def _plain_real(latent: Real) -> Float:
    return Float(latent.low, latent.high, latent.log, latent.step)


def _plain_whole(latent: Whole) -> Int:
    return Int(latent.low, latent.high, latent.log, latent.step)


def _unrounded(latent: Real, step: float, anchor: Any = "zero") -> Float:
    return Float(latent.low, latent.high, latent.log, step, anchor)


def _unrounded_int(latent: Real, step: int, anchor: Any = "zero") -> Int:
    return Int(round(latent.low), round(latent.high), latent.log, step, anchor)


_READERS: dict[tuple[str, type], Callable[..., Kind]] = {
    ("", Real): _plain_real,
    ("", Whole): _plain_whole,
    ("", Label): lambda latent: Choice(latent.options),
    ("one_minus", Real): lambda latent: OneMinus(latent.low, latent.high),
    ("log2", Whole): lambda latent: PowerOfTwo(latent.low, latent.high),
    ("unordered", Whole): lambda latent: Int(latent.low, latent.high, ordered=False),
    ("unrounded", Real): _unrounded,
    ("unrounded_int", Real): _unrounded_int,
    ("normal_cdf", Real): lambda latent, mu, sigma, step=None: Normal(mu, sigma, False, step),
    ("lognormal_cdf", Real): lambda latent, mu, sigma, step=None: Normal(mu, sigma, True, step),
    ("json", Label): lambda latent: Choice(tuple(map(json.loads, latent.options))),
}
