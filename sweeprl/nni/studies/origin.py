"""What the trials of an NNI experiment are: their config, and the space of what is proposed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sweeprl.config import TrialConfig, load_config, merge, parse_value
from sweeprl.errors import ConfigError
from sweeprl.registry import importable
from sweeprl.search_spaces import SearchSpace

__all__ = ["base_of", "code_folder", "config_folder_of", "space_of"]


def code_folder(profile: Mapping[str, Any]) -> Path:
    """Returns the folder that trials are started in."""
    return Path(profile.get("trialCodeDirectory") or ".")


def config_folder_of(profile: Mapping[str, Any], config: Path | None = None) -> str:
    """Returns the folder whose modules the config may name: its own, where it is given."""
    return str(code_folder(profile) if config is None else config.resolve().parent)


def base_of(profile: Mapping[str, Any], config: Path | None = None) -> TrialConfig:
    """Returns the config that proposals are put into.

    Args:
        profile: the experiment's settings, see `ExperimentDatabase.profile`.
        config: its file; by default the one that the trial command names, with the settings that
            it makes, or base.json.

    Raises:
        ConfigError: it is not there.
    """
    folder = code_folder(profile)
    named, changes = _read_command(shlex.split(profile.get("trialCommand") or ""))
    path = config or folder / named
    if not path.exists():
        raise ConfigError(
            f"The config that the trials of an experiment are put into must be known, but '{path}' "
            "does not exist. Name it with: sweeprl nni import --config FILE"
        )
    with importable([folder]):
        return merge(load_config(path), changes)


def _read_command(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The config and the settings of a `sweeprl run`; other commands are not understood."""
    named, changes = "base.json", {}
    if "run" not in words:
        return named, {}
    for flag, value in zip(words, words[1:], strict=False):
        if flag == "--config":
            named = value
        elif flag == "--seed":
            changes["seed"] = parse_value(value)
        elif flag == "--set":
            key, _, text = value.partition("=")
            changes[key.strip()] = parse_value(text)
    return named, changes


def space_of(profile: Mapping[str, Any]) -> SearchSpace:
    """Returns what NNI proposes.

    Raises:
        ConfigError: it cannot be read, or is not known.
    """
    found = profile.get("searchSpace")
    if isinstance(found, str):
        found = json.loads(found)
    if not found:
        raise ConfigError(
            "The experiment must have a search space, but its database holds none. Write "
            "`searchSpaceFile` into its config.yml."
        )
    return SearchSpace.of(found)
