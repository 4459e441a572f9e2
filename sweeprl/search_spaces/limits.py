"""Limits between parameters, such as "batch_size <= rollout_steps * num_envs".

A limit has one key on the left, and keys and numbers with `*` and `/` on the right. A value above
its limit is moved to the largest value of its own range that keeps it: ranges stay as they are, so
that a tuner may treat all parameters as one joint space.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sweeprl.config import TrialConfig
from sweeprl.config.merging import read
from sweeprl.errors import ConfigError
from sweeprl.search_spaces.codec import is_number
from sweeprl.search_spaces.codecs import codec_of
from sweeprl.search_spaces.parameters import Kind, Nested, short

__all__ = ["Limit", "moved"]

_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")


@dataclass(frozen=True)
class Limit:
    """An upper limit of one parameter.

    Args:
        text: as it was written.
        key: what is limited.
        factors: `*` or `/`, and the key or number that follows.
    """

    text: str
    key: str
    factors: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, text: str) -> Limit:
        """Reads a limit.

        Raises:
            ConfigError: it is not of the form `key <= key * number / key`.

        >>> Limit.of("batch_size <= rollout_steps * 2").factors
        (('*', 'rollout_steps'), ('*', '2'))
        """
        left, sign, right = text.partition("<=")
        pieces = re.split(r"([*/])", "*" + right)[1:]
        factors = tuple(
            (symbol, term.strip()) for symbol, term in zip(pieces[::2], pieces[1::2], strict=True)
        )
        terms = [term for _, term in factors]
        is_form = sign and _KEY.fullmatch(left.strip()) and all(map(_is_term, terms))
        if not is_form:
            raise ConfigError(
                f"A limit must read like 'batch_size <= rollout_steps * num_envs', a key on the "
                f"left and keys and numbers with '*' or '/' on the right, but got '{text}'."
            )
        return cls(text, left.strip(), factors)

    def bound(self, config: TrialConfig, params: Mapping[str, Any]) -> float | None:
        """Returns the number on the right; None where one of its settings is null."""
        product = 1.0
        for symbol, term in self.factors:
            value = float(term) if _is_number_text(term) else self._setting(term, config, params)
            if value is None:
                return None
            if symbol == "*":
                product *= value
            else:
                product = product / value if value else math.inf
        return product

    def _setting(self, key: str, config: TrialConfig, params: Mapping[str, Any]) -> Any:
        value = params[short(key)] if short(key) in params else read(config, key)[0]
        if value is not None and not is_number(value):
            raise ConfigError(f"'{key}' must be a number in '{self.text}', but is {value!r}.")
        return value

    def explain(self, config: TrialConfig, params: Mapping[str, Any]) -> str:
        """Returns the settings on the right with their values."""
        keys = [term for _, term in self.factors if not _is_number_text(term)]
        return ", ".join(f"{key}={self._setting(key, config, params)}" for key in keys)


def moved(
    limits: Iterable[Limit],
    parameters: Mapping[str, Kind],
    base: TrialConfig,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns `params` with each value above a limit moved to the largest that keeps it.

    Raises:
        ConfigError: a range has no value that keeps a limit, or a limit names no setting.
    """
    values = {short(key): value for key, value in params.items()}
    limits = [limit for limit in limits if is_number(values.get(short(limit.key)))]
    for _ in limits:  # one limit may lower what another one rests on
        for limit in limits:
            _move(limit, parameters, base, values)
    return {key: values[short(key)] for key in params}


def _move(
    limit: Limit, parameters: Mapping[str, Kind], config: TrialConfig, values: dict[str, Any]
) -> None:
    key, bound = short(limit.key), limit.bound(config, values)
    if bound is None or values[key] <= bound:
        return
    found = _range_of(key, parameters, values[key])
    largest = codec_of(found).largest(bound) if found else None
    if largest is None:
        raise ConfigError(
            f"`{limit.text}` must hold, but with {limit.explain(config, values)} no value of "
            f"{limit.key} in {found} keeps it. Let the range of {limit.key} start lower, or raise "
            "what stands on the right."
        )
    values[key] = largest


def _range_of(key: str, parameters: Mapping[str, Kind], value: Any) -> Any:
    """The range of `key` that `value` comes from; branches may have one each."""
    found = list(_ranges_of(key, parameters))
    return next((one for one in found if codec_of(one).holds(value)), found[0] if found else None)


def _ranges_of(key: str, parameters: Mapping[str, Kind]) -> Iterable[Any]:
    for own, one in parameters.items():
        if isinstance(one, Nested):
            for branch in one.branches.values():
                yield from _ranges_of(key, branch.parameters)
        elif short(own) == key:
            yield one


def _is_number_text(term: str) -> bool:
    try:
        return float(term) > 0
    except ValueError:
        return False


def _is_term(term: str) -> bool:
    return bool(_KEY.fullmatch(term)) or _is_number_text(term)
