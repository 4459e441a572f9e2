"""Any environment registered with Gymnasium."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Annotated, Any

import gymnasium as gym
from pydantic import Field

from sweeprl.config import Config, EnvConfig
from sweeprl.envs._copies import Copies, NativeCopies, SeedOf
from sweeprl.envs._extension import EnvExtension
from sweeprl.envs._pool import Pool
from sweeprl.errors import ConfigError, MissingDependencyError, UnknownNameError, did_you_mean

__all__ = ["Gymnasium", "GymnasiumConfig", "WrapperConfig"]


class WrapperConfig(Config):
    """A wrapper and what it is told."""

    name: str
    """Importable name, or a name in `gymnasium.wrappers`."""
    kwargs: dict[str, Any] = {}
    """Keyword arguments of its constructor."""


class GymnasiumConfig(EnvConfig):
    """Which environment, and how it is built."""

    env_name: str = "CartPole-v1"
    """A registered id; `module:id` imports the module that registers it first."""
    env_kwargs: dict[str, Any] = {}
    """Keyword arguments of the environment's constructor."""
    wrappers: list[str | WrapperConfig] = []
    """Wrappers from the inside out: importable names, or {"name": ..., "kwargs": {...}}."""
    render_every_episode: Annotated[int | None, Field(ge=0)] = 100
    """Every how many episodes a video is written under `root_dir`; 0 or null is never."""


class Gymnasium(EnvExtension):
    """Any environment registered with Gymnasium, by its id."""

    Config = GymnasiumConfig

    def name(self, config: GymnasiumConfig) -> str:
        """The id."""
        return config.env_name

    def make(self, config: GymnasiumConfig, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """Builds the environment and its wrappers."""
        spec = _find(config.env_name)
        can_render = render_mode is not None and render_mode in _render_modes(spec)
        options: dict[str, Any] = {"render_mode": render_mode} if can_render else {}
        env: gym.Env[Any, Any] = _built(
            config, partial(gym.make, disable_env_checker=True, **options)
        )
        for entry in config.wrappers:
            env = _wrap(env, entry)
        return env

    def make_native(self, config: GymnasiumConfig, num: int, seed_of: SeedOf) -> Copies:
        """Builds the vectorised implementation that the environment is registered with."""
        if _find(config.env_name).vector_entry_point is None or config.wrappers:
            return super().make_native(config, num, seed_of)
        native = partial(gym.make_vec, num_envs=num, vectorization_mode="vector_entry_point")
        env = gym.wrappers.vector.FlattenObservation(_built(config, native))
        return NativeCopies(env, config.env_name, seed_of)

    def make_pool(self, config: GymnasiumConfig, num: int, seed_of: SeedOf) -> Copies:
        """Builds EnvPool's environment of the same name."""
        if config.wrappers:
            return super().make_pool(config, num, seed_of)
        seeds = [seed_of(copy, 0) for copy in range(num)]
        env = gym.wrappers.vector.FlattenObservation(
            Pool(config.env_name, config.env_kwargs, seeds)
        )
        return NativeCopies(env, config.env_name, seed_of)


def _find(env_name: str) -> gym.envs.registration.EnvSpec:
    module, _, name = env_name.rpartition(":")
    try:
        if module:
            importlib.import_module(module)
        return gym.spec(name)
    except (gym.error.Error, ImportError) as error:
        hint = "" if "Did you mean" in str(error) else did_you_mean(env_name, gym.registry)
        raise UnknownNameError(
            f"No Gymnasium environment '{env_name}': {str(error).removesuffix('.')}.{hint} "
            "Environments of a package are written 'module:id'."
        ) from error


def _built(config: GymnasiumConfig, make: Any) -> Any:
    try:
        return make(config.env_name, **config.env_kwargs)
    except gym.error.DependencyNotInstalled as error:
        raise MissingDependencyError(
            f"{config.env_name} needs a package that is not installed: {error} "
            "For Box2D: pip install 'sweeprl[box2d]'; for MuJoCo: pip install 'sweeprl[mujoco]'."
        ) from error
    except Exception as error:  # whatever its constructor says of the arguments
        raise ConfigError(
            f"{config.env_name} must be buildable with env_kwargs {config.env_kwargs}, "
            f"but {type(error).__name__}: {error}"
        ) from error


def _render_modes(spec: gym.envs.registration.EnvSpec) -> list[str]:
    entry = spec.entry_point
    creator = gym.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    modes: list[str] = getattr(creator, "metadata", {}).get("render_modes", [])
    return modes


def _wrap(env: gym.Env[Any, Any], entry: str | WrapperConfig) -> gym.Env[Any, Any]:
    name, kwargs = (entry, {}) if isinstance(entry, str) else (entry.name, entry.kwargs)
    module, _, attribute = name.rpartition(".")
    try:
        wrapper = getattr(importlib.import_module(module or "gymnasium.wrappers"), attribute)
        wrapped: gym.Env[Any, Any] = wrapper(env, **kwargs)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"Wrapper '{name}' must be an importable gymnasium.Wrapper that takes {kwargs}, "
            f"but: {error}."
        ) from error
    return wrapped
