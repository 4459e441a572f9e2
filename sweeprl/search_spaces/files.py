"""Reading and writing spaces as JSON or YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sweeprl.config.io import Inline, dump_yaml, read_mapping, write_text
from sweeprl.errors import ConfigError
from sweeprl.search_spaces.space import SearchSpace

__all__ = ["format_space", "load_space", "save_space"]

_YAML = (".yaml", ".yml")


def load_space(path: str | Path) -> SearchSpace:
    """Reads a space, in our form or NNI's; the suffix says whether it is JSON or YAML.

    Raises:
        ConfigError: there is no such file, it cannot be parsed, or a range is wrong.
    """
    command = f"sweeprl space --algo DQN --output {path}"
    data = read_mapping(path, command, what="search space")
    try:
        return SearchSpace.of(data)
    except ConfigError as error:
        raise ConfigError(f"'{path}': {error}") from None


def save_space(space: SearchSpace, path: str | Path) -> None:
    """Writes a space, in its own order; the suffix says whether as JSON or YAML."""
    write_text(path, format_space(space, as_yaml=Path(path).suffix.lower() in _YAML))


def format_space(space: SearchSpace, as_yaml: bool = True) -> str:
    """Returns a space as text, where it is YAML with a line for each parameter."""
    plain = space.to_dict()
    if not as_yaml:
        return json.dumps(plain, indent=4) + "\n"
    shown = {**plain, "parameters": _inline(plain["parameters"])}
    return dump_yaml(shown, sort_keys=False, width=1000)


def _inline(parameters: dict[str, Any]) -> dict[str, Any]:
    """`parameters` with each range on a line of its own, those of branches as well."""
    return {
        key: _nested(one) if one["type"] == "nested" else Inline(one)
        for key, one in parameters.items()
    }


def _nested(one: dict[str, Any]) -> dict[str, Any]:
    branches = {name: _branch(branch) for name, branch in one["branches"].items()}
    return {"type": "nested", "branches": branches}


def _branch(branch: dict[str, Any]) -> dict[str, Any]:
    if "parameters" not in branch:
        return Inline(branch)
    return {**branch, "parameters": _inline(branch["parameters"])}
