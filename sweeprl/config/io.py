"""Reading and writing configs as JSON or YAML, Infinity included."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from sweeprl.config.trial import TrialConfig
from sweeprl.errors import ConfigError
from sweeprl.registry import importable

__all__ = [
    "Inline",
    "dump_yaml",
    "format_config",
    "load_config",
    "parse_value",
    "read_mapping",
    "save_config",
    "write_text",
]


def load_config(path: str | Path) -> TrialConfig:
    """Reads and validates a config; the suffix says whether it is JSON or YAML.

    Raises:
        ConfigError: there is no such file, it cannot be parsed, or a field is wrong.
    """
    data = read_mapping(path, f"sweeprl generate --algo DQN --output {path}")
    with importable([Path(path).parent, Path.cwd()]):
        return TrialConfig.of(data)


def read_mapping(path: str | Path, command: str, what: str = "config") -> dict[str, Any]:
    """Reads plain settings; the suffix says whether they are JSON or YAML.

    Args:
        path: the file.
        command: what writes such a file, for the one who has none.
        what: what is in it, for error messages.

    Raises:
        ConfigError: there is no such file, or it cannot be parsed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        data = _parse_yaml(text) if _is_yaml(path) else json.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"No {what} at '{path}'. Write one with: {command}") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"'{path}' must be a readable JSON or YAML file, but: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"'{path}' must hold a mapping of settings, but holds {data!r}.")
    return data


def save_config(config: TrialConfig | dict[str, Any], path: str | Path) -> None:
    """Writes a config with sorted keys; the suffix says whether as JSON or YAML."""
    write_text(path, format_config(config, as_yaml=_is_yaml(Path(path))))


def write_text(path: str | Path, text: str) -> None:
    """Writes a whole file or, if that fails, none of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def format_config(config: TrialConfig | dict[str, Any], as_yaml: bool = False) -> str:
    """Returns a config as text."""
    plain = config.to_dict() if isinstance(config, TrialConfig) else config
    if as_yaml:
        return dump_yaml(plain, sort_keys=True)
    return json.dumps(plain, indent=4, sort_keys=True) + "\n"


def dump_yaml(plain: dict[str, Any], **style: Any) -> str:
    r"""Returns plain values as YAML that is read back as the same values.

    >>> dump_yaml({"letter": "ä", "line": 1})
    'letter: ä\nline: 1\n'
    """
    text: str = yaml.dump(plain, Dumper=_Dumper, allow_unicode=True, **style)
    if "\x85" in text:  # a line break, which PyYAML writes as it is and reads as a space
        text = yaml.dump(plain, Dumper=_Dumper, **style)
    return text


def parse_value(text: str) -> Any:
    """Reads one value as it is written on a command line.

    >>> [parse_value(text) for text in ("3", "1e-3", "[64, 64]", "null", "Adam")]
    [3, 0.001, [64, 64], None, 'Adam']
    """
    try:
        return (
            float(text)
            if _is_float(text) and not text.lstrip("+-").isdigit()
            else _parse_yaml(text)
        )
    except yaml.YAMLError:
        return text


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as YAML 1.2 and JSON do; PyYAML asks for a dot and a sign."""


class _Dumper(yaml.SafeDumper):
    """Quotes the words that `_Loader` would take for numbers."""


class Inline(dict[str, Any]):
    """A mapping that YAML shows on one line."""


_Dumper.add_representer(
    Inline, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data, True)
)


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )


def _parse_yaml(text: str) -> Any:
    return yaml.load(text, _Loader)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_yaml(path: Path) -> bool:
    return path.suffix.lower() in (".yaml", ".yml")
