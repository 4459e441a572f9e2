"""Putting proposed parameters into a config, by dotted path."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sweeprl.config.trial import TrialConfig
from sweeprl.errors import ConfigError, did_you_mean

__all__ = ["check_applied", "merge", "read"]


def merge(config: TrialConfig, params: Mapping[str, Any]) -> TrialConfig:
    """Returns a new, validated config with `params` set.

    Args:
        config: left as it is.
        params: values by dotted path (`frame_config.model_kwargs.*.hidden`, where `*` is every
            element); the first key is one of the config itself, or else of `frame_config`.

    Raises:
        ConfigError: a path leads nowhere, or a value breaks a rule.
    """
    merged = copy.deepcopy(config.model_dump())
    for path, value in params.items():
        _set(merged, _keys(path, merged), copy.deepcopy(value), path)
    return TrialConfig.of(merged)


def read(config: TrialConfig, path: str) -> list[Any]:
    """Returns the plain values that a dotted path leads to; one, unless it holds a `*`.

    Raises:
        ConfigError: it leads nowhere.
    """
    plain = config.to_dict()
    found: list[Any] = [plain]
    for key in _keys(path, plain):
        found = [
            target[place]
            for target in found
            for place in _places(target, key, path, may_be_new=False)
        ]
    return found


def check_applied(config: TrialConfig, params: Mapping[str, Any]) -> None:
    """Refuses a config that does not hold what was proposed for it.

    Args:
        config: what is to be trained.
        params: what a tuner proposed, by dotted path.

    Raises:
        ConfigError: naming the first key that differs.
    """
    if not params:
        return
    expected = merge(config, params)
    for path in params:
        found, proposed = read(config, path), read(expected, path)
        if found != proposed:
            raise ConfigError(
                f"{path} must be trained as it was proposed, {proposed!r}, but the config says "
                f"{found!r}. Something has changed it after the merge: an environment extension's "
                "`launch`, for example."
            )


def _keys(path: str, config: dict[str, Any]) -> list[str]:
    keys, section = path.split("."), config["frame_config"]
    if keys[0] in config:
        return keys
    if keys[0] not in section:
        known = [*section, *config]
        raise ConfigError(f"{path}: Unknown key '{keys[0]}'.{did_you_mean(keys[0], known)}")
    return ["frame_config", *keys]


def _set(target: Any, keys: list[str], value: Any, path: str) -> None:
    key, rest = keys[0], keys[1:]
    for place in _places(target, key, path, may_be_new=not rest and _is_free(path)):
        if rest:
            if target[place] is None and key.endswith("_kwargs"):
                target[place] = {}
            _set(target[place], rest, value, path)
        else:
            target[place] = value


def _is_free(path: str) -> bool:
    """Whether the last key may be new: constructor arguments are the user's own."""
    return "_kwargs" in path


def _places(target: Any, key: str, path: str, may_be_new: bool) -> list[Any]:
    if isinstance(target, list):
        if key == "*":
            return list(range(len(target)))
        if key.isdigit() and int(key) < len(target):
            return [int(key)]
        raise ConfigError(
            f"{path}: '{key}' must be '*' or an index below {len(target)}: it names one element of "
            "a list."
        )
    if not isinstance(target, dict):
        raise ConfigError(
            f"{path}: '{key}' must lie in a section, but what is there is {target!r}."
        )
    if key == "*":
        return list(target)
    if key in target or may_be_new:
        return [key]
    raise ConfigError(f"{path}: Unknown key '{key}'.{did_you_mean(key, target)}")
