"""What an engine is built from: networks, settings and schedulers of its agents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sweeprl.config import parts_of, structure_of
from sweeprl.errors import ConfigError
from sweeprl.frames._base import Frame

__all__ = [
    "check_same_structure",
    "groups_of_roles",
    "is_free_of_own_code",
    "scheduler_of",
    "seeded_networks",
    "stack_hyperparameters",
]


def stack_hyperparameters(frames: Sequence[Frame], device: torch.device) -> dict[str, Tensor]:
    """Returns the traced settings of all lanes by dotted path, each `(L,)`.

    Raises:
        ConfigError: the lanes differ in structure.
    """
    for frame in frames[1:]:
        check_same_structure(frames[0], frame)
    values = [frame.hyperparameters() for frame in frames]
    return {name: torch.tensor([v[name] for v in values], device=device) for name in values[0]}


def check_same_structure(one: Frame, other: Frame) -> None:
    """Refuses two agents that cannot be lanes of one engine.

    Raises:
        ConfigError: naming what they must share.
    """
    mine, theirs = structure_of(one.config), structure_of(other.config)
    for name, value in mine.items():
        if value == theirs[name]:
            continue
        field, is_count, _ = name.partition(" is set")
        if is_count:
            raise ConfigError(f"Lanes must all set '{field}' or all leave it null.")
        raise ConfigError(
            f"Lanes must share '{name}', which is structural, but got "
            f"{value!r} and {theirs[name]!r}."
        )


def seeded_networks(frame: Frame, seed: int, is_checked: bool = True) -> dict[str, nn.Module]:
    """Builds a lane's networks as `seed` alone decides, and leaves torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return frame.networks(is_checked)


def is_free_of_own_code(frame: Frame, networks: Mapping[str, nn.Module]) -> bool:
    """Whether frame, networks and criterion are torch's or sweeprl's, and none of them the user's.

    Such code does the same in every call, so that a record may stand for it; that of users may
    print, count or stop in a debugger.
    """
    modules = [part for module in networks.values() for part in module.modules()]
    called = [*_called_by(frame), *modules]
    return {type(one).__module__.partition(".")[0] for one in called} <= {"sweeprl", "torch"}


def _called_by(frame: Frame) -> Iterator[object]:
    yield frame
    for value in vars(frame).values():
        if isinstance(value, Frame):
            yield from _called_by(value)
        elif isinstance(value, nn.Module):
            yield from value.modules()
        elif callable(value):
            yield value


def groups_of_roles(frame: Frame) -> tuple[list[list[str]], dict[int, list[str]]]:
    """Roles trained together by each loss, and for a loss's index the roles that follow them."""
    online = [list(loss.trains) for loss in frame.losses]
    follower = {role.follows: role.name for role in frame.roles if role.follows}
    targets = {
        index: [follower[role] for role in roles]
        for index, roles in enumerate(online)
        if all(role in follower for role in roles)
    }
    return online, targets


def scheduler_of(frame: Frame, index: int) -> Callable[[torch.optim.Optimizer], Any] | None:
    """Returns what builds the scheduler of the optimizer number `index`, or None for no scheduler.

    Raises:
        ConfigError: there is no such scheduler; the function raises it for settings that are wrong.
    """
    section = frame.losses[index].section
    config = parts_of(frame.config)[section]
    if config.lr_scheduler is None:
        return None
    scheduler_class: Any = frame.resolver.lr_scheduler(config.lr_scheduler)
    if isinstance(scheduler_class, type) and issubclass(scheduler_class, ReduceLROnPlateau):
        raise ConfigError(
            "lr_scheduler must not need a metric, but ReduceLROnPlateau does. "
            "Use LinearLR, StepLR or CosineAnnealingLR."
        )
    together = [number for number, loss in enumerate(frame.losses) if loss.section == section]
    args, kwargs = config.lr_scheduler_args or [], config.lr_scheduler_kwargs or {}
    for name, given in (("lr_scheduler_args", args), ("lr_scheduler_kwargs", kwargs)):
        is_own = isinstance(given, list) and given and isinstance(given[0], (list, dict))
        if is_own and len(given) != len(together):
            raise ConfigError(
                f"{section}{name} must be one setting for all optimizers or a list of "
                f"{len(together)}, "
                f"one for each, but has {len(given)} elements."
            )
    place = together.index(index)
    own_args = args[place] if args and all(isinstance(arg, list) for arg in args) else args
    own_kwargs = kwargs[place] if isinstance(kwargs, list) else kwargs

    def build(optimizer: torch.optim.Optimizer) -> Any:
        try:
            return scheduler_class(optimizer, *own_args, **own_kwargs)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"lr_scheduler '{config.lr_scheduler}' must take lr_scheduler_args {own_args} "
                "and lr_scheduler_kwargs "
                f"{own_kwargs}, but: {error}."
            ) from error

    return build
