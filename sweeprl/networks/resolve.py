"""The one look-up of classes by name, and the building of networks from a config."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import nn

from sweeprl.config import ActionSpec, Continuous, Discrete, EnvSpec
from sweeprl.errors import ConfigError, UnknownNameError, did_you_mean

__all__ = ["Resolver", "caller_globals"]


def caller_globals() -> list[Mapping[str, Any]]:
    """Returns the globals of every caller outside sweeprl, nearest first."""
    scopes: list[Mapping[str, Any]] = []
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        is_new = all(scope is not frame.f_globals for scope in scopes)
        if name.partition(".")[0] != "sweeprl" and is_new:
            scopes.append(frame.f_globals)
        frame = frame.f_back
    return scopes


@dataclass(frozen=True)
class Resolver:
    """Finds the classes that a config names.

    Args:
        scopes: namespaces in which a bare name is looked up first, nearest first.
    """

    scopes: Sequence[Mapping[str, Any]] = field(default_factory=list)

    def find(self, reference: str | type, kind: str, library: Mapping[str, Any]) -> Any:
        """Returns the class that `reference` stands for.

        Args:
            reference: a class, or a name: of a global of the caller, importable as `module.Class`,
                or in `library`.
            kind: what is looked for, for error messages.
            library: names that are known without import.

        Raises:
            UnknownNameError: listing everything that was tried.
        """
        if isinstance(reference, type):
            return reference
        tried = []
        for scope in self.scopes:
            if isinstance(scope.get(reference), type):
                return scope[reference]
        tried.append(f"the caller's globals ({len(self.scopes)} modules)")
        module_name, _, attribute = reference.rpartition(".")
        if module_name:
            try:
                return getattr(importlib.import_module(module_name), attribute)
            except (ImportError, AttributeError) as error:
                tried.append(f"importing it ({error})")
        if reference in library:
            return library[reference]
        tried.append(f"the known names ({', '.join(sorted(library)) or 'none'})")
        raise UnknownNameError(
            f"No {kind} named '{reference}'.{did_you_mean(reference, library)} "
            f"Tried {'; '.join(tried)}. Give a class, or 'module.Class' with the module beside the "
            "config or in the working directory."
        )

    def network(
        self,
        reference: str | type,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        spec: EnvSpec,
        default: tuple[str, type[nn.Module]],
    ) -> nn.Module:
        """Builds one network.

        Args:
            reference: its class or name.
            args: positional constructor arguments.
            kwargs: keyword constructor arguments.
            spec: where `state_dim`, `action_dim` and `action_num` come from.
            default: name and class of the network that the role has by default.

        Raises:
            ConfigError: there is no such class, or its constructor refuses the arguments.
        """
        library = {default[0]: default[1], default[1].__name__: default[1]}
        network_class = self.find(reference, "model", library)
        if not (isinstance(network_class, type) and issubclass(network_class, nn.Module)):
            raise ConfigError(
                f"A model must be an nn.Module class, but '{reference}' is {network_class!r}."
            )
        filled = {**_dimensions(network_class, len(args), spec), **kwargs}
        try:
            return network_class(*args, **filled)
        except TypeError as error:
            raise ConfigError(
                f"Model '{reference}' must take args {list(args)} and kwargs {filled}, "
                f"but: {error}. Change model_args and model_kwargs."
            ) from error

    def optimizer(self, reference: str | type) -> Callable[..., torch.optim.Optimizer]:
        """Returns an optimizer class."""
        found: Callable[..., torch.optim.Optimizer] = self.find(
            reference, "optimizer", _classes(torch.optim, torch.optim.Optimizer)
        )
        return found

    def lr_scheduler(self, reference: str | type) -> Callable[..., Any]:
        """Returns a learning-rate scheduler class."""
        library = _classes(torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler)
        found: Callable[..., Any] = self.find(reference, "lr_scheduler", library)
        return found

    def criterion(
        self, reference: str | type, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> nn.Module:
        """Builds a criterion that leaves one loss for each element where its class can."""
        library = {k: v for k, v in _classes(nn, nn.Module).items() if k.endswith("Loss")}
        criterion_class = self.find(reference, "criterion", library)
        has_reduction = "reduction" in inspect.signature(criterion_class).parameters
        settings = {"reduction": "none", **kwargs} if has_reduction else dict(kwargs)
        try:
            criterion: nn.Module = criterion_class(*args, **settings)
        except TypeError as error:
            raise ConfigError(
                f"Criterion '{reference}' must take args {list(args)} and kwargs {dict(kwargs)}, "
                f"but: {error}. Change criterion_args and criterion_kwargs."
            ) from error
        return criterion


def _classes(module: ModuleType, base: type) -> dict[str, type]:
    members = vars(module).items()
    return {
        name: value
        for name, value in members
        if isinstance(value, type) and issubclass(value, base) and not name.startswith("_")
    }


def _dimensions(network_class: type, num_positional: int, spec: EnvSpec) -> dict[str, Any]:
    """The environment's dimensions that the constructor asks for and the config left open."""
    parameters = list(inspect.signature(network_class).parameters)
    known = {"state_dim": spec.observation_size, **_action_dimensions(spec.action)}
    return {name: known[name] for name in parameters[num_positional:] if name in known}


def _action_dimensions(action: ActionSpec) -> dict[str, Any]:
    if isinstance(action, Discrete):
        return {"action_dim": 1, "action_num": action.num}
    if isinstance(action, Continuous):
        return {"action_dim": action.size, "action_num": action.size}
    return {"action_dim": action.size, "action_num": list(action.nums)}
