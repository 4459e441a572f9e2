"""The parameters of L agents as one tensor, and the lifting of one agent's rule to all."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sweeprl.engine.lifting import Record, Rule, leaves_of, lifted, with_gradient
from sweeprl.engine.parts import Part
from sweeprl.engine.rows import keep_rows
from sweeprl.errors import ConfigError

__all__ = ["Lanes", "Stack", "flattened"]

LaneModules = Mapping[str, nn.Module]
"""The networks of one lane, by role."""

_FEW = 200
"""Calls of a rule before it pays to do more for it: of a single lane's as it is, before there is a
record; of a record of many lanes in Python, before TorchScript runs it."""

_MOST_COUNTED = 1000
"""Computations whose calls are counted, before all counts begin anew."""

_VALUE = ""
"""Where the loss itself stands among what it logs."""


class _Call(NamedTuple):
    """A call of a rule, and what its record depends on."""

    key: Any
    """Equal for calls that one record serves."""
    args: tuple[Any, ...]
    """Tensors and mappings of tensors, beside parameters and settings."""
    leaves: list[Tensor]
    """All tensors in them."""


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
        self._modules = lanes[0]
        self.sizes = [sum(p.numel() for p in lanes[0][role].parameters()) for role in roles]
        self._set(torch.stack([flattened(modules, roles) for modules in lanes]).to(device))

    def _set(self, flat: Tensor) -> None:
        self.flat, self.grad = flat, torch.zeros_like(flat)
        self.parameters: dict[str, dict[str, Tensor]] = {}
        offset = 0
        for role in self.roles:
            self.parameters[role] = {}
            for name, parameter in self._modules[role].named_parameters():
                place = slice(offset, offset + parameter.numel())
                self.parameters[role][name] = self._view(parameter, place)
                offset = place.stop
        self.leaves = [leaf for named in self.parameters.values() for leaf in named.values()]

    def _view(self, parameter: nn.Parameter, place: slice) -> Tensor:
        if len(self.flat) == 1:
            parameter.data = self.flat[0, place].view(parameter.shape)
            return parameter
        return self.flat[:, place].view(-1, *parameter.shape).requires_grad_()

    def unflatten(self, flat: Tensor) -> dict[str, dict[str, Tensor]]:
        """Splits a row `(P,)`, or rows `(K, P)`, into the parameters, by role and name."""
        widths = [leaf.numel() // len(self.flat) for leaf in self.leaves]
        parts = iter(torch.split(flat, widths, -1))
        return {
            role: {
                name: next(parts).view((*flat.shape[:-1], *parameter.shape))
                for name, parameter in self._modules[role].named_parameters()
            }
            for role in self.roles
        }

    def rows(self, lanes: Tensor) -> dict[str, dict[str, Tensor]]:
        """Returns a copy of the parameters `(K, ...)` of some lanes, by role and name."""
        rows = self.unflatten(self.flat.index_select(0, lanes))
        for parameter in leaves_of([rows]):
            parameter.requires_grad_()
        return rows

    def differentiate(self, loss: Tensor) -> None:
        """Writes the gradient of a scalar into `grad`; each lane's part is that of its own loss."""
        num_lanes = len(self.flat)
        gradients = torch.autograd.grad(loss, self.leaves)
        columns = [gradient.reshape(num_lanes, -1) for gradient in gradients]
        torch.cat(columns, 1, out=self.grad)

    @torch.no_grad()
    def place(self, lane: int, modules: LaneModules) -> None:
        """Gives a lane the parameters of other networks."""
        self.flat[lane] = flattened(modules, self.roles).to(self.flat.device)

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        self._set(keep_rows(self.flat, kept))


def flattened(modules: LaneModules, roles: Sequence[str]) -> Tensor:
    """Returns all parameters of some roles in one row, `(P,)`, on the CPU."""
    parameters = [parameter for role in roles for parameter in modules[role].parameters()]
    return torch.cat([parameter.detach().reshape(-1).cpu() for parameter in parameters])


class Lanes:
    """The networks of L agents of equal structure, and the lifting of a rule to all of them.

    With one lane a rule is called without vmap; `enter` and `leave` take the lane dimension off and
    put it back.

    Args:
        lanes: the networks of each lane, by role.
        groups: roles that are stacked together, each group in one stack.
        hyperparameters: traced settings by name, each `(L,)`.
        device: where the parameters live.
        is_recorded: whether a single lane's rules, too, are recorded where they are called often,
            and not called as they are every time.

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
        is_recorded: bool = False,
    ) -> None:
        _check(lanes)
        self._modules = {role: module.to(device) for role, module in lanes[0].items()}
        self.stacks = [Stack(lanes, roles, device) for roles in groups]
        self._accepted = {role: _accepted(module) for role, module in self._modules.items()}
        self._networks = SimpleNamespace(
            **{role: self._accepting(role, module) for role, module in self._modules.items()}
        )
        self._is_training = True
        self.settings = dict(hyperparameters)
        """The traced settings of all lanes, by name, each `(L,)`."""
        self.is_recorded = is_recorded
        self._is_on_cpu = device.type == "cpu"
        self._records: dict[Any, Record] = {}
        self._calls: Counter[Any] = Counter()
        self._read()

    def _read(self) -> None:
        """Looks at the stacks and settings anew, after lanes have gone."""
        self.num = len(self.stacks[0].flat)
        self.parameters = {
            role: named for stack in self.stacks for role, named in stack.parameters.items()
        }
        self.hyperparameters = {name: self.enter(v) for name, v in self.settings.items()}
        own = leaves_of([self.parameters, self.hyperparameters])
        self._leaves = [leaf.detach() for leaf in own]

    def place(self, lane: int, modules: LaneModules, hyperparameters: Mapping[str, float]) -> None:
        """Gives a lane the networks and settings of another agent.

        Raises:
            ConfigError: its networks do not have the shapes of this cohort.
        """
        _check([self._modules, modules])
        for stack in self.stacks:
            stack.place(lane, modules)
        self.adjust(lane, hyperparameters)

    def adjust(self, lane: int, hyperparameters: Mapping[str, float]) -> None:
        """Gives a lane other settings."""
        for name, value in hyperparameters.items():
            self.settings[name][lane] = value

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only."""
        for stack in self.stacks:
            stack.keep(kept)
        for name, values in self.settings.items():
            self.settings[name] = keep_rows(values, kept)
        self._read()

    def set_training(self, is_training: bool) -> None:
        """Turns Dropout and the like on or off."""
        self._is_training = is_training
        for module in self._modules.values():
            module.train(is_training)

    def enter(self, tensor: Tensor) -> Tensor:
        """Takes the lane dimension off where there is one lane."""
        return tensor[0] if self.num == 1 else tensor

    def leave(self, tensor: Tensor) -> Tensor:
        """Puts the lane dimension back."""
        return tensor.unsqueeze(0) if self.num == 1 else tensor

    def apply(self, name: Any, function: Callable[..., Any], *args: Any) -> Any:
        """Calls `function(networks, hyperparameters, *args)` for each lane.

        Args:
            name: of what is done; the same name stands for the same computation.
            function: a rule for one agent.
            *args: tensors or mappings of tensors that have been through `enter`.

        Returns:
            What `function` returns; `leave` gives its tensors a lane dimension.
        """
        call = self._call(name, *args)
        if self.num == 1 and not (self._is_on_cpu and self._is_often(call)):
            return function(self._networks, self.hyperparameters, *args)
        return self._run(call, lambda: self._lifted(function))

    def apply_moved(
        self, name: Any, function: Callable[..., Any], stack: Stack, offsets: Tensor, *args: Any
    ) -> Any:
        """Calls `function(networks, hyperparameters, *args)` for each environment of each lane.

        Args:
            name: as for `apply`.
            function: a rule for one agent and a batch of one.
            stack: whose parameters are moved.
            offsets: what is added to them for each environment, `(E, P)`, through `enter`.
            *args: tensors that have been through `enter`, the first `(E, ...)`, the others of the
                lane.

        Returns:
            What `function` returns, `(E, ...)` without the batch dimension.
        """

        def rule(
            parameters: Any, hp: Any, flat: Tensor, moves: Tensor, each: Tensor, *rest: Any
        ) -> Any:
            def one(move: Tensor, own: Tensor) -> Any:
                networks = self._bound({**parameters, **stack.unflatten(flat + move)})
                return function(networks, hp, own.unsqueeze(0), *rest).squeeze(0)

            return torch.func.vmap(one)(moves, each)

        return self._run(
            self._call(("moved", name), self.enter(stack.flat), offsets, *args),
            lambda: rule if self.num == 1 else lifted(rule, is_nested=True),
        )

    def descend(
        self,
        name: str,
        loss: Callable[..., Any],
        stack: Stack,
        batch: Mapping[str, Tensor],
        parts: Sequence[Part] | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Evaluates a loss for each lane and writes its gradient into `stack.grad`.

        Args:
            name: of the loss.
            loss: `(networks, hyperparameters, batch)` to a scalar, and what is logged: scalars, or
                a number for each row.
            stack: the parameters it trains.
            batch: what it is given, `(L, B, ...)`, through `enter`.
            parts: which lanes are computed together; None is all. Of lanes in no part the gradient
                is left as it was, and what is returned is 0.

        Returns:
            The losses and what they log; `leave` gives them a lane dimension.
        """
        # A graph, as updates are on a GPU, is better made of a record than of autograd.
        is_in_graph = self.is_recorded and not self._is_on_cpu
        call = self._call(name, batch)
        if self.num == 1 and not (is_in_graph or self._is_often(call)):
            value, logs = loss(self._networks, self.hyperparameters, batch)
            stack.differentiate(value)
            return value.detach(), logs

        def make_rule() -> Rule:
            return with_gradient(self._lifted(loss), stack.roles)

        if parts is None:
            values, logs, gradient = self._run(call, make_rule)
            stack.grad.copy_(gradient)
            return values, logs
        return self._descend_in_parts(name, make_rule, stack, batch, parts)

    @torch.no_grad()
    def _descend_in_parts(
        self,
        name: str,
        make_rule: Callable[[], Rule],
        stack: Stack,
        batch: Mapping[str, Tensor],
        parts: Sequence[Part],
    ) -> tuple[Tensor, dict[str, Tensor]]:
        widest = next(iter(batch.values())).shape[1]
        together: dict[str, Tensor] = {}
        for part in parts:
            own = {k: v.index_select(0, part.lanes)[:, : part.width] for k, v in batch.items()}
            values, logs, gradient = self._run(self._call(name, own), make_rule, part.lanes)
            stack.grad.index_copy_(0, part.lanes, gradient)
            for key, found in {_VALUE: values, **logs}.items():
                if key not in together:  # `(L,)`, or a number for each row, `(L, B)`
                    shape = (self.num, *([widest] if found.dim() > 1 else []))
                    together[key] = found.new_zeros(shape)
                room = together[key][:, : part.width] if found.dim() > 1 else together[key]
                room.index_copy_(0, part.lanes, found)
        return together.pop(_VALUE), together

    @torch.no_grad()
    def estimate(
        self, name: str, loss: Callable[..., Any], stack: Stack, *args: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As `descend`, for a loss that returns its `gradient` among what it logs."""
        value, logs = self.apply(name, loss, *args)
        stack.grad.copy_(self.leave(logs["gradient"]))
        return value, {key: number for key, number in logs.items() if key != "gradient"}

    @torch.no_grad()
    def step(
        self, function: Callable[..., Any], stack: Stack, *args: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Lets a rule find the step from the gradient in `stack.grad`.

        Args:
            function: `(at, parameters, gradient, hyperparameters, *args)` to a step `(P,)` and
                scalars to log; `at(parameters)` are the networks with other parameters in the
                roles of the stack.
            stack: the parameters that are to be moved.
            *args: as for `apply`.

        Returns:
            The step, and what is logged; `leave` gives them a lane dimension.
        """

        def rule(parameters: Any, hp: Any, flat: Tensor, gradient: Tensor, *rest: Any) -> Any:
            def at(moved: Tensor) -> SimpleNamespace:
                return self._bound({**parameters, **stack.unflatten(moved)})

            return function(at, flat, gradient, hp, *rest)

        own = (self.enter(stack.flat), self.enter(stack.grad), *args)
        if self.num == 1:
            return rule(self.parameters, self.hyperparameters, *own)  # type: ignore[no-any-return]
        # Not traced: rules that solve and search have thousands of operations, and take a step
        # once a rollout; tracing them costs a hundred times what it saves in a step.
        everything = (self.parameters, self.hyperparameters, *own)
        return lifted(rule)(*everything)  # type: ignore[no-any-return]

    def _lifted(self, function: Callable[..., Any]) -> Rule:
        def rule(parameters: Any, *rest: Any) -> Any:
            return function(self._bound(parameters), *rest)

        return rule if self.num == 1 else lifted(rule)

    def _call(self, name: Any, *args: Any) -> _Call:
        leaves = leaves_of(args)
        fields = tuple([tuple(arg) for arg in args if not isinstance(arg, Tensor)])
        shapes = tuple([leaf.shape for leaf in leaves])
        return _Call((name, self._is_training, fields, shapes), args, leaves)

    def _is_often(self, call: _Call) -> bool:
        """Counts a call of a single lane, and says whether a record is to stand for it."""
        if not self.is_recorded:
            return False
        if call.key in self._records:
            return True
        if len(self._calls) > _MOST_COUNTED:
            self._calls.clear()
        self._calls[call.key] += 1
        return self._calls[call.key] > _FEW

    def _run(self, call: _Call, make_rule: Callable[[], Rule], lanes: Tensor | None = None) -> Any:
        """Runs the record of a rule, which is made at the first call with these shapes.

        Args:
            call: of the rule.
            make_rule: makes it.
            lanes: whose parameters and settings, `(K,)` int64; None is those of all.
        """
        parameters, settings, own = self.parameters, self.hyperparameters, self._leaves
        if lanes is not None:
            parameters = {
                role: named for stack in self.stacks for role, named in stack.rows(lanes).items()
            }
            settings = {key: value.index_select(0, lanes) for key, value in settings.items()}
            own = leaves_of([parameters, settings])
        if call.key not in self._records:
            num_few = 0 if self.num == 1 else _FEW
            everything = (parameters, settings, *call.args)
            self._records[call.key] = Record(make_rule(), everything, num_few)
        return self._records[call.key]([*own, *call.leaves])

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
