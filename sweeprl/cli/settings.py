"""Configs as they are named and changed on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeprl.errors import ConfigError
from sweeprl.registry import importable

if TYPE_CHECKING:
    from sweeprl.config import TrialConfig

__all__ = ["changes_of", "check_output", "load_changed"]


def check_output(output: Path, overwrite: bool, option: str = "--output") -> None:
    """Refuses to write where something lies.

    Args:
        output: the file to write.
        overwrite: whether it may replace another.
        option: what the file was given with, for error messages.

    Raises:
        ConfigError: something lies there, and `overwrite` is not set.
    """
    if output.exists() and not overwrite:
        raise ConfigError(
            f"'{output}' must not exist yet, but does. Choose another {option} or add --overwrite."
        )


def changes_of(
    settings: Sequence[str],
    seed: int | None = None,
    root_dir: Path | None = None,
    option: str = "--set",
) -> dict[str, Any]:
    """Returns what `--set`, `--seed` and `--root-dir` change, by dotted path.

    Args:
        settings: each of them key=value.
        seed: of the trial.
        root_dir: of the trial.
        option: what the settings were given with, for error messages.

    Raises:
        ConfigError: a setting is not key=value.
    """
    from sweeprl.config import parse_value

    changes: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"{option} must be key=value, but got '{setting}'.")
        changes[key.strip()] = parse_value(value)
    if seed is not None:
        changes["seed"] = seed
    if root_dir is not None:
        changes["root_dir"] = str(root_dir)
    return changes


def load_changed(path: Path, changes: dict[str, Any]) -> TrialConfig:
    """Reads a config and merges changes into it.

    Raises:
        ConfigError: there is no such file, or a setting is wrong.
    """
    from sweeprl.config import load_config, merge

    with importable([path.resolve().parent, Path.cwd()]):
        return merge(load_config(path), changes)
