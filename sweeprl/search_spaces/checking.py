"""Trying a space on a config: whether its trials are valid, and which of them train together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sweeprl.config import TrialConfig, merge, structure_of
from sweeprl.errors import ConfigError
from sweeprl.search_spaces.corners import Corner, corners
from sweeprl.search_spaces.parameters import Kind, short

__all__ = ["check_corners", "lane_keys"]

Resolve = Callable[[TrialConfig, Mapping[str, Any]], dict[str, Any]]


def check_corners(parameters: Mapping[str, Kind], base: TrialConfig, resolve: Resolve) -> None:
    """Refuses a space with a trial that is no valid config.

    Raises:
        ConfigError: naming the key and the remedy.
    """
    for corner in corners(parameters):
        _refuse_overlap(corner.params)
        try:
            merge(base, resolve(base, corner.params))
        except ConfigError as error:
            key = _culprit(corner, str(error))
            raise ConfigError(
                f"The search space's '{key}' must be valid in this config, but with "
                f"{key}={corner.params[key]!r}: {error} Narrow its range, or leave it out."
            ) from None


def _culprit(corner: Corner, message: str) -> str:
    """The key that the message speaks of; where all others speak of it too, the one varied."""
    suspects = [corner.key, *corner.params]
    named = [key for key in suspects if key in corner.params and key.split(".")[-1] in message]
    return named[0] if named else next(key for key in suspects if key in corner.params)


def _refuse_overlap(params: Mapping[str, Any]) -> None:
    paths = sorted(short(key) for key in params)
    for one, other in zip(paths, paths[1:], strict=False):
        if other.startswith(f"{one}."):
            raise ConfigError(
                f"'{one}' and '{other}' must not be searched at once: the first sets the second as "
                "well. Leave one out, or make them branches of a nested choice."
            )


def lane_keys(
    parameters: Mapping[str, Kind], config: TrialConfig, resolve: Resolve
) -> tuple[str, ...]:
    """Returns the parameters that lanes of one cohort may differ in, and constants.

    A parameter is one of them where the structure of the config is the same for all its values.
    """
    first: dict[tuple[str, bool], Any] = {}
    structural = set()
    for corner in corners(parameters):
        structure = _structure(merge(config, resolve(config, corner.params)))
        if structure != first.setdefault((corner.parameter, corner.at_high_end), structure):
            structural.add(corner.parameter)
    return tuple(key for key in parameters if key not in structural)


def _structure(config: TrialConfig) -> tuple[Any, Any]:
    return structure_of(config.frame_config), config.model_dump(exclude={"frame_config"})
