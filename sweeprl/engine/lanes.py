"""The parameters of L agents as one tensor, and the lifting of one agent's rule to all."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from sweeprl.errors import ConfigError

__all__ = ["Lanes", "Stack"]

LaneModules = Mapping[str, nn.Module]
"""The networks of one lane, by role."""


class Stack:
    """All parameters of some roles, over L lanes, side by side in one tensor.

    Every parameter is a view into `flat`. An optimizer step, a clip or a target update is then one
    operation, whatever the number of networks, layers and lanes.

    Args:
        lanes: the networks of each lane; with one lane their own parameters become the views.
        roles: which of them.
        device: where the parameters live.
    """

    def __init__(self, lanes: Sequence[LaneModules], roles: Sequence[str], device: torch.device):
        self.roles = tuple(roles)
        self.flat = torch.stack([_flatten(modules, roles) for modules in lanes]).to(device)
        self.grad = torch.zeros_like(self.flat)
        self.parameters: dict[str, dict[str, Tensor]] = {}
        offset = 0
        for role in roles:
            self.parameters[role] = {}
            for name, parameter in lanes[0][role].named_parameters():
                place = slice(offset, offset + parameter.numel())
                self.parameters[role][name] = self._view(parameter, place, len(lanes))
                offset = place.stop
        self.sizes = [
            sum(leaf.numel() for leaf in named.values()) // len(lanes)
            for named in self.parameters.values()
        ]
        self.leaves = [leaf for named in self.parameters.values() for leaf in named.values()]

    def _view(self, parameter: nn.Parameter, place: slice, num_lanes: int) -> Tensor:
        if num_lanes == 1:
            parameter.data = self.flat[0, place].view(parameter.shape)
            return parameter
        return self.flat[:, place].view(num_lanes, *parameter.shape).requires_grad_()

    def differentiate(self, loss: Tensor) -> None:
        """Writes the gradient of a scalar into `grad`; each lane's part is that of its own loss."""
        num_lanes = len(self.flat)
        gradients = torch.autograd.grad(loss, self.leaves)
        columns = [gradient.reshape(num_lanes, -1) for gradient in gradients]
        torch.cat(columns, 1, out=self.grad)


def _flatten(modules: LaneModules, roles: Sequence[str]) -> Tensor:
    parameters = [parameter for role in roles for parameter in modules[role].parameters()]
    return torch.cat([parameter.detach().reshape(-1).cpu() for parameter in parameters])


class Lanes:
    """The networks of L agents of equal structure, and the lifting of a rule to all of them.

    With one lane the function is called as it is, without vmap; `enter` and `leave` take the lane
    dimension off and put it back.

    Args:
        lanes: the networks of each lane, by role.
        groups: roles that are stacked together, each group in one stack.
        hyperparameters: traced settings by name, each `(L,)`.
        device: where the parameters live.

    Raises:
        ConfigError: a network has no parameters, keeps buffers, or differs in shape from lane to
            lane.
    """

    def __init__(
        self,
        lanes: Sequence[LaneModules],
        groups: Sequence[Sequence[str]],
        hyperparameters: Mapping[str, Tensor],
        device: torch.device,
    ) -> None:
        self.num = len(lanes)
        _check(lanes)
        self.hyperparameters = {name: self.enter(v) for name, v in hyperparameters.items()}
        self._modules = {role: module.to(device) for role, module in lanes[0].items()}
        self.stacks = [Stack(lanes, roles, device) for roles in groups]
        self.parameters = {
            role: named for stack in self.stacks for role, named in stack.parameters.items()
        }
        self._accepted = {role: _accepted(module) for role, module in self._modules.items()}
        self._networks = SimpleNamespace(
            **{role: self._accepting(role, module) for role, module in self._modules.items()}
        )

    def set_training(self, is_training: bool) -> None:
        """Turns Dropout and the like on or off."""
        for module in self._modules.values():
            module.train(is_training)

    def enter(self, tensor: Tensor) -> Tensor:
        """Takes the lane dimension off where there is one lane."""
        return tensor[0] if self.num == 1 else tensor

    def leave(self, tensor: Tensor) -> Tensor:
        """Puts the lane dimension back."""
        return tensor.unsqueeze(0) if self.num == 1 else tensor

    def apply(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls `function(networks, hyperparameters, *args)` for each lane.

        Args:
            function: a rule for one agent.
            *args: tensors or mappings of tensors that have been through `enter`.

        Returns:
            What `function` returns; `leave` gives its tensors a lane dimension.
        """
        if self.num == 1:
            return function(self._networks, self.hyperparameters, *args)
        lifted = torch.func.vmap(
            lambda parameters, *rest: function(self._bound(parameters), *rest),
            randomness="different",
        )
        return lifted(self.parameters, self.hyperparameters, *args)

    def _bound(self, parameters: Mapping[str, Mapping[str, Tensor]]) -> SimpleNamespace:
        return SimpleNamespace(
            **{
                role: self._accepting(role, _functional(module, parameters[role]))
                for role, module in self._modules.items()
            }
        )

    def _accepting(self, role: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Drops the optional arguments that a user's network does not know."""
        accepted = self._accepted[role]
        if accepted is None:
            return call
        return lambda **kwargs: call(**{k: v for k, v in kwargs.items() if k in accepted})


def _functional(module: nn.Module, parameters: Mapping[str, Tensor]) -> Callable[..., Any]:
    named = dict(parameters)
    return lambda **kwargs: torch.func.functional_call(module, named, (), kwargs)


def _check(lanes: Sequence[LaneModules]) -> None:
    for role, module in lanes[0].items():
        shapes = [[p.shape for p in modules[role].parameters()] for modules in lanes]
        if not shapes[0]:
            raise ConfigError(f"The network of role '{role}' must have parameters, but has none.")
        if any(shape != shapes[0] for shape in shapes):
            raise ConfigError(f"The networks of role '{role}' must have equal shapes in all lanes.")
        if any(True for _ in module.buffers()):
            raise ConfigError(
                f"The network of role '{role}' must not keep buffers, but "
                f"{type(module).__name__} does. "
                "Use layers without running statistics, LayerNorm instead of BatchNorm for example."
            )


_OPTIONAL = {"noise", "greedy"}


def _accepted(module: nn.Module) -> set[str] | None:
    """Names that `forward` takes, or None where it takes all that the frames may pass."""
    parameters = inspect.signature(module.forward).parameters
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    return None if takes_any or _OPTIONAL <= set(parameters) else set(parameters)
