"""How frames with a deterministic actor explore: the kinds of noise that `act_kwargs` may name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sweeprl.errors import did_you_mean
from sweeprl.functional import clipped_normal_noise, ornstein_uhlenbeck, uniform_noise

__all__ = ["carried_noise", "exploration_noise"]


@dataclass(frozen=True)
class _Kind:
    """A kind of noise.

    Args:
        parameters: their names, in the order in which a list gives them, and defaults.
        draw: `(noise, *parameters)` to what is added, or for correlated noise `(moved, noise,
            *parameters)` to how far it has moved from its start.
        is_correlated: whether it is carried from step to step.
    """

    parameters: Mapping[str, float]
    draw: Callable[..., Tensor]
    is_correlated: bool = False


def _normal(noise: Tensor, mean: float, std: float) -> Tensor:
    return mean + std * noise


def _moved(
    moved: Tensor, noise: Tensor, mu: float, sigma: float, theta: float, dt: float, x0: float
) -> Tensor:
    return ornstein_uhlenbeck(moved + x0, noise, mu, sigma, theta, dt) - x0


_KINDS = {
    "normal": _Kind({"mean": 0.0, "std": 0.1}, _normal),
    "clipped_normal": _Kind(
        {"mean": 0.0, "std": 0.2, "min": -0.5, "max": 0.5}, clipped_normal_noise
    ),
    "uniform": _Kind({"min": -0.1, "max": 0.1}, uniform_noise),
    "ou": _Kind({"mu": 0.0, "sigma": 0.2, "theta": 0.15, "dt": 0.01, "x0": 0.0}, _moved, True),
}
"""By `mode`."""

_NOT_NEGATIVE = ("std", "sigma", "theta", "dt")


def exploration_noise(mode: str, noise_param: Any, noise: Tensor, carried: Tensor) -> Tensor:
    """Returns what is added to actions.

    Args:
        mode: a kind of noise.
        noise_param: its parameters: a list, a mapping by name, or a list of these, one for each
            component; None is their defaults.
        noise: standard normal numbers, `(..., A)`.
        carried: what `carried_noise` returned, `(..., A)`.

    Returns:
        `(..., A)`

    Raises:
        ValueError: there is no such kind, or the parameters are not its own.
    """
    kind = _kind(mode)
    if kind.is_correlated:
        return _by_component(lambda moved, *row: moved + row[-1], kind, noise_param, carried)
    return _by_component(kind.draw, kind, noise_param, noise)


def carried_noise(mode: str, noise_param: Any, moved: Tensor, noise: Tensor) -> Tensor:
    """Moves correlated noise on by a step; other kinds carry nothing.

    Args:
        mode: a kind of noise.
        noise_param: its parameters.
        moved: how far it has moved from where it starts, `(..., A)`.
        noise: standard normal numbers, `(..., A)`.

    Returns:
        `(..., A)`

    Raises:
        ValueError: there is no such kind, or the parameters are not its own.
    """
    kind = _kind(mode)
    return (
        _by_component(kind.draw, kind, noise_param, moved, noise) if kind.is_correlated else moved
    )


def _kind(mode: Any) -> _Kind:
    if mode not in _KINDS:
        hint = did_you_mean(str(mode), _KINDS)
        raise ValueError(f"`mode` must be one of {', '.join(_KINDS)}, but is {mode!r}.{hint}")
    return _KINDS[mode]


def _by_component(
    draw: Callable[..., Tensor], kind: _Kind, noise_param: Any, *inputs: Tensor
) -> Tensor:
    """Draws with the parameters of all components, or of each: numbers, which a graph can hold."""
    if not _is_list_of_parameters(noise_param):
        return draw(*inputs, *_row(kind, noise_param))
    size = inputs[0].shape[-1]
    if len(noise_param) != size:
        raise ValueError(
            f"`noise_param` must hold a list for each of {size} components, or be one for all, but "
            f"holds {len(noise_param)}"
        )
    columns = zip(*(tensor.unbind(-1) for tensor in inputs), strict=True)
    rows = [_row(kind, given) for given in noise_param]
    return torch.stack([draw(*c, *row) for c, row in zip(columns, rows, strict=True)], -1)


def _is_list_of_parameters(given: Any) -> bool:
    is_list = isinstance(given, Sequence) and not isinstance(given, str)
    return is_list and bool(given) and all(isinstance(one, list | tuple | dict) for one in given)


def _row(kind: _Kind, given: Any) -> list[float]:
    """The parameters in the kind's order."""
    known = kind.parameters
    by_name = dict(zip(known, given, strict=False)) if isinstance(given, list | tuple) else given
    by_name = {} if given is None else by_name
    is_known = isinstance(by_name, Mapping) and set(by_name) <= set(known)
    filled = {**known, **by_name} if is_known else {}
    is_too_long = isinstance(given, list | tuple) and len(given) > len(known)
    if is_too_long or not filled or not _is_sound(filled):
        raise ValueError(
            f"`noise_param` must hold the numbers {', '.join(known)}, deviations not negative and "
            f"ranges from low to high, but is {given!r}"
        )
    return list(filled.values())


def _is_sound(values: Mapping[str, Any]) -> bool:
    for value in values.values():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value):
            return False
    is_range = values.get("min", 0.0) <= values.get("max", 0.0) or "min" not in values
    return is_range and all(values[name] >= 0 for name in _NOT_NEGATIVE if name in values)
