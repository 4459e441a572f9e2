"""Writing configs: three functions that fill a dictionary in any order and lose nothing in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from sweeprl import registry
from sweeprl.config.trial import TrialConfig

__all__ = ["generate_algorithm_config", "generate_env_config", "generate_training_config"]

GENERATED_MAX_ENV_STEPS = 50_000
"""Budget of a generated config, in environment steps; DQN solves CartPole-v1 within it."""

_ENV_SECTIONS = ("train_env_config", "test_env_config")


def generate_algorithm_config(
    frame: str, config: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Adds `frame` and a complete `frame_config` to a config.

    Args:
        frame: the algorithm's name.
        config: what to add to; what it sets in `frame_config` is kept.

    Returns:
        A new dictionary; `config` is left as it is.

    Raises:
        UnknownNameError: no frame has that name.

    >>> config = generate_algorithm_config("DQN")
    >>> config["frame_config"]["learning_rate"]
    0.001
    """
    name = registry.frames.resolve(frame)
    before = copy.deepcopy(dict(config or {}))
    chosen = before.get("frame_config", {})
    if "frame" in before and before["frame"] != name:
        chosen = _chosen(chosen, _frame_defaults(before["frame"]))
    section = {**_frame_defaults(name), **chosen}
    return {"gpus": "auto", **before, "frame": name, "frame_config": section}


def generate_env_config(
    env: str, config: Mapping[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    """Adds `env`, `train_env_config` and `test_env_config` to a config.

    Args:
        env: the environment extension's name.
        config: what to add to; what it sets is kept.
        **settings: set in both sections, `env_name="Pendulum-v1"` for example.

    Returns:
        A new dictionary; `config` is left as it is.

    Raises:
        UnknownNameError: no environment extension has that name.
    """
    name = registry.envs.resolve(env)
    before = copy.deepcopy(dict(config or {}))
    if "env" in before and registry.envs.resolve(before["env"]) != name:
        defaults = _env_defaults(before["env"])
        before |= {key: _chosen(before[key], defaults) for key in _ENV_SECTIONS if key in before}
    generated: dict[str, Any] = registry.envs.get(name)().generate_env_config(before)
    generated["env"] = name
    for section in _ENV_SECTIONS:
        generated[section] = {**generated[section], **settings}
    return generated


def generate_training_config(
    root_dir: str | None = None,
    episode_per_epoch: int | None = None,
    max_episodes: int | None = None,
    config: Mapping[str, Any] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Adds everything that is neither frame nor environment to a config.

    Args:
        root_dir: folder of everything the trial writes.
        episode_per_epoch: training episodes in one epoch.
        max_episodes: budget in training episodes.
        config: what to add to; what it sets is kept unless an argument says otherwise.
        **settings: any other top-level key, `seed=3` for example.

    Returns:
        A new dictionary; `config` is left as it is.
    """
    given = {
        "root_dir": root_dir,
        "episode_per_epoch": episode_per_epoch,
        "max_episodes": max_episodes,
    }
    named = {key: value for key, value in given.items() if value is not None}
    before = copy.deepcopy(dict(config or {}))
    return {**_training_defaults(), **before, **named, **settings}


def _frame_defaults(frame: str) -> dict[str, Any]:
    model = registry.frames.get(frame).Config
    defaults: dict[str, Any] = model().model_dump(mode="json")
    return defaults


def _env_defaults(env: str) -> dict[str, Any]:
    model = registry.envs.get(env).Config
    defaults: dict[str, Any] = model().model_dump(mode="json")
    return defaults


def _chosen(section: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody set on purpose: it differs from the default."""
    items = section.items()
    return {key: value for key, value in items if key not in defaults or defaults[key] != value}


def _training_defaults() -> dict[str, Any]:
    sections = ("frame", "frame_config", "env", *_ENV_SECTIONS)
    fields = TrialConfig.model_fields.items()
    defaults = {key: field.get_default() for key, field in fields if key not in sections}
    defaults["evaluation"] = defaults["evaluation"].model_dump(mode="json")
    return {**defaults, "max_env_steps": GENERATED_MAX_ENV_STEPS}
