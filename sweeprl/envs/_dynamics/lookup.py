"""Which environments exist as dynamics, and how they are built."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from sweeprl.envs._dynamics.acrobot import Acrobot
from sweeprl.envs._dynamics.base import Dynamics
from sweeprl.envs._dynamics.cartpole import CartPole
from sweeprl.envs._dynamics.mountain_car import MountainCar
from sweeprl.envs._dynamics.mountain_car_continuous import MountainCarContinuous
from sweeprl.envs._dynamics.pendulum import Pendulum
from sweeprl.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["dynamics"]

_KINDS: dict[str, type[Dynamics]] = {
    kind.spec.name: kind
    for kind in (Acrobot, CartPole, MountainCar, MountainCarContinuous, Pendulum)
}


def dynamics(env_name: str, env_kwargs: Mapping[str, Any]) -> Dynamics:
    """Returns the environment that Gymnasium registers as `env_name`, on tensors.

    Args:
        env_name: Gymnasium's id.
        env_kwargs: keyword arguments of Gymnasium's constructor.

    Raises:
        UnknownNameError: the environment does not exist on tensors.
        ConfigError: its constructor does not take these arguments.

    >>> dynamics("Pendulum-v1", {"g": 9.81}).max_episode_steps
    200
    """
    if env_name not in _KINDS:
        raise UnknownNameError(
            f"No environment '{env_name}' on tensors.{did_you_mean(env_name, _KINDS)} "
            f"Known: {', '.join(_KINDS)}; all others are left to Gymnasium."
        )
    kind = _KINDS[env_name]
    accepted = inspect.signature(kind).parameters
    for name, value in env_kwargs.items():
        _check_name(name, list(accepted), env_name)
        _check_value(name, value, accepted[name].default)
    return kind(**env_kwargs)


def _check_name(name: str, accepted: list[str], env_name: str) -> None:
    if name not in accepted:
        raise ConfigError(
            f"On tensors {env_name} has no setting '{name}' in env_kwargs."
            f"{did_you_mean(name, accepted)} It takes: {', '.join(accepted) or 'none'}."
        )


def _check_value(name: str, value: Any, default: Any) -> None:
    is_truth = isinstance(value, bool)
    if isinstance(default, bool):
        fits, rule = is_truth, "true or false"
    else:
        fits = isinstance(value, (int, float)) and not is_truth and math.isfinite(value)
        rule = "a finite number"
    if not fits:
        raise ConfigError(
            f"env_kwargs '{name}' must be {rule}, but is {value!r}. Left out, it is {default!r}."
        )
