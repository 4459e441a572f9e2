"""One torch optimizer for all lanes, each lane with its own learning rate and step count."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sweeprl.engine.lanes import Stack
from sweeprl.engine.rows import keep_rows
from sweeprl.errors import ConfigError

__all__ = ["LaneOptimizer", "check_optimizer"]

OptimizerClass = Callable[..., torch.optim.Optimizer]


class LaneOptimizer:
    """Steps a stack of parameters with any element-wise optimizer.

    The optimizer takes a step with learning rate 1; the step is then scaled by the learning rate
    of each lane and role. This equals L separate optimizers wherever a step is proportional to the
    learning rate, which is checked when it is built.

    Args:
        stack: what is trained; its `grad` holds the gradient.
        optimizer_class: builds the optimizer.
        optimizer_kwargs: its settings, without the learning rate.
        learning_rate: for each role of the stack, one number for each lane, `(L,)`; roles that
            share one share the tensor.
        gradient_max: largest norm of the gradient of one role's parameters, for each lane, `(L,)`.
        scheduler: builds a learning-rate scheduler around an optimizer, or None.

    Raises:
        ConfigError: the optimizer or scheduler refuses its settings, or a step is not element-wise
            and proportional to the learning rate.
    """

    def __init__(
        self,
        stack: Stack,
        optimizer_class: OptimizerClass,
        optimizer_kwargs: Mapping[str, Any],
        learning_rate: Sequence[Tensor],
        gradient_max: Tensor,
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
    ) -> None:
        check_optimizer(optimizer_class, optimizer_kwargs)
        self._stack = stack
        self._gradient_max = gradient_max.clone().unsqueeze(1)
        self._clips = bool(torch.isfinite(gradient_max).any())
        # A single agent needs no stack but to be captured, where code of users would not be called.
        is_torchs = optimizer_class.__module__.partition(".")[0] == "torch"
        is_simple = len(stack.flat) == 1 and not (is_torchs and stack.flat.device.type == "cuda")
        is_stacked = not is_simple and _can_stack(optimizer_class, optimizer_kwargs)
        kind = _Stacked if is_stacked else _Separate
        self._steps: _Steps = kind(stack, optimizer_class, optimizer_kwargs)
        self._rates = _Rates(learning_rate, stack.sizes, scheduler)

    @property
    def is_capturable(self) -> bool:
        """Whether a step reads and writes tensors only."""
        return isinstance(self._steps, _Stacked)

    @property
    def clips(self) -> bool:
        """Whether any lane limits its gradient."""
        return self._clips

    @torch.no_grad()
    def step(self, active: Tensor | None = None, is_in_step: bool = False) -> None:
        """Moves the parameters along the gradient in the stack.

        Args:
            active: which lanes take the step, `(L, 1)` bool; None is all.
            is_in_step: whether all lanes have made equally many steps before.
        """
        flat, grad = self._stack.flat, self._stack.grad
        if self._clips:
            for part in torch.split(grad, self._stack.sizes, 1):
                norm = torch.linalg.vector_norm(part, dim=1, keepdim=True)
                part.mul_((self._gradient_max / (norm + 1e-6)).clamp_max_(1.0))
        before = flat.clone()
        self._steps.step(active, is_in_step)
        torch.lerp(before, flat, self._rates.tensor, out=flat)
        if active is not None:
            torch.where(active, flat, before, out=flat)

    def step_schedule(self, lanes: Sequence[int] | None = None) -> None:
        """Moves the learning rates of some lanes, or of all, along their schedule."""
        self._rates.step(range(len(self._stack.flat)) if lanes is None else lanes)

    def place(self, lane: int, rates: Sequence[float], gradient_max: float) -> None:
        """Gives a lane a fresh optimizer with other settings."""
        self._steps.reset(lane)
        self._rates.place(lane, rates)
        self._limit(lane, gradient_max)

    def adjust(self, lane: int, rates: Sequence[float], gradient_max: float) -> None:
        """Gives a lane other settings; its moments, and its place in the schedule, stay."""
        self._rates.adjust(lane, rates)
        self._limit(lane, gradient_max)

    def _limit(self, lane: int, gradient_max: float) -> None:
        self._gradient_max[lane] = gradient_max
        self._clips = bool(torch.isfinite(self._gradient_max).any())

    def keep(self, kept: Sequence[int]) -> None:
        """Keeps the lanes `kept` only; the stack has done so before."""
        self._steps.keep(kept)
        self._rates.keep(kept)
        self._gradient_max = keep_rows(self._gradient_max, kept)

    def copy(self) -> Any:
        """Returns the moments and step counts of all lanes."""
        return self._steps.copy()

    def copy_lane(self, copy: Any, lane: int) -> None:
        """Brings a lane in `copy` up to date."""
        self._steps.copy_lane(copy, lane)

    def restore(self, copy: Any, lane: int) -> None:
        """Gives a lane the moments and step count that it had when `copy` was made."""
        self._steps.restore(copy, lane)

    def state_dict(self, lane: int = 0) -> dict[str, Any]:
        """Returns a lane's moments, step count and place in the schedule."""
        return {"moments": self._steps.state_dict(lane), "rates": self._rates.state_dict(lane)}

    def load_state_dict(self, state: dict[str, Any], lane: int = 0) -> None:
        """Goes on where `state` was taken."""
        self._steps.load_state_dict(state["moments"], lane)
        self._rates.load_state_dict(state["rates"], lane)


class _Trained(Protocol):
    """As much of a stack as an optimizer needs."""

    flat: Tensor
    grad: Tensor


class _Steps(Protocol):
    """Steps with learning rate 1 over the rows of a stack."""

    def step(self, active: Tensor | None, is_in_step: bool) -> None: ...
    def reset(self, lane: int) -> None: ...
    def keep(self, kept: Sequence[int]) -> None: ...
    def state_dict(self, lane: int) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: dict[str, Tensor], lane: int) -> None: ...
    def copy(self) -> Any: ...
    def copy_lane(self, copy: Any, lane: int) -> None: ...
    def restore(self, copy: Any, lane: int) -> None: ...


class _Separate:
    """An optimizer for each lane: for a single lane, and for classes that cannot be stacked."""

    def __init__(
        self, stack: _Trained, optimizer_class: OptimizerClass, settings: Mapping[str, Any]
    ) -> None:
        self._stack, self._class, self._settings = stack, optimizer_class, settings
        self._make(range(len(stack.flat)))

    def _make(self, lanes: Sequence[int]) -> None:
        self._parameters: list[nn.Parameter] = []
        self._optimizers: list[torch.optim.Optimizer] = []
        for lane in lanes:
            parameter = nn.Parameter(self._stack.flat[lane : lane + 1])
            parameter.grad = self._stack.grad[lane : lane + 1]
            self._parameters.append(parameter)
            self._optimizers.append(
                _build(self._class, [parameter], self._settings, {"fused": True})
            )
        # Without torch's wrappers for profiling and hooks, which a small step would notice.
        self._step: Any = inspect.unwrap(type(self._optimizers[0]).step)

    def step(self, active: Tensor | None, is_in_step: bool) -> None:
        takes_part = [True] * len(self._optimizers) if active is None else active.flatten().tolist()
        for optimizer, is_active in zip(self._optimizers, takes_part, strict=True):
            if is_active:
                self._step(optimizer)

    def reset(self, lane: int) -> None:
        self._optimizers[lane].state.clear()

    def keep(self, kept: Sequence[int]) -> None:
        states = [self.state_dict(lane) for lane in kept]
        self._make(range(len(kept)))
        for lane, state in enumerate(states):
            self.load_state_dict(state, lane)

    def state_dict(self, lane: int) -> dict[str, Tensor]:
        state = self._optimizers[lane].state[self._parameters[lane]]
        return {name: _flat(value).clone() for name, value in state.items() if value is not None}

    def load_state_dict(self, state: dict[str, Tensor], lane: int) -> None:
        shape = self._parameters[lane].shape
        restored = {k: v.clone().view(shape if v.dim() else ()) for k, v in state.items()}
        plain = self._optimizers[lane].state_dict()
        self._optimizers[lane].load_state_dict({**plain, "state": {0: restored} if state else {}})

    def copy(self) -> list[dict[str, Tensor]]:
        return [self.state_dict(lane) for lane in range(len(self._optimizers))]

    def copy_lane(self, copy: list[dict[str, Tensor]], lane: int) -> None:
        copy[lane] = self.state_dict(lane)

    def restore(self, copy: list[dict[str, Tensor]], lane: int) -> None:
        self.load_state_dict(copy[lane], lane)


class _Stacked:
    """One torch optimizer over all lanes, each of which has a step count of its own.

    Torch's plain kernels take step counts `(L, 1)` instead of one number. Its fused ones do not;
    they serve while all lanes have made equally many steps.
    """

    def __init__(
        self, stack: _Trained, optimizer_class: OptimizerClass, settings: Mapping[str, Any]
    ) -> None:
        self._stack = stack
        parameter = nn.Parameter(stack.flat)
        is_on_gpu = stack.flat.device.type == "cuda"
        plain = {"foreach": False, "capturable" if is_on_gpu else "differentiable": True}
        fused = {"fused": True, "capturable": is_on_gpu}
        self._plain = _build(optimizer_class, [parameter], settings, plain)
        self._fused = _build(optimizer_class, [parameter], settings, fused)
        self._can_fuse = bool(self._fused.param_groups[0].get("fused"))
        self._run: Any = inspect.unwrap(type(self._plain).step)
        self._make_state()

    @torch.no_grad()
    def _make_state(self) -> None:
        """Torch makes the state in the first step, which is taken and taken back here."""
        before = self._stack.flat.clone()
        self._state: dict[str, Tensor] = {}
        self._bind()
        self._run(self._plain)
        self._stack.flat.copy_(before)
        num = len(before)
        self._state = {
            name: value.to(before.device).expand(num, 1).clone() if value.dim() == 0 else value
            for name, value in self._plain.state[self._parameter].items()
            if value is not None
        }
        for lane in range(num):
            self.reset(lane)
        self._bind()

    def _bind(self) -> None:
        """Lets both optimizers work on the stack and on the same state."""
        self._parameter = nn.Parameter(self._stack.flat)
        self._parameter.grad = self._stack.grad
        self._counts = [value for value in self._state.values() if value.shape[1] == 1]
        first = {k: v[0, 0] if v.shape[1] == 1 else v for k, v in self._state.items()}
        for optimizer, state in ((self._plain, self._state), (self._fused, first)):
            optimizer.param_groups[0]["params"] = [self._parameter]
            optimizer.state.clear()
            if state:
                optimizer.state[self._parameter] = state

    def step(self, active: Tensor | None, is_in_step: bool) -> None:
        if active is not None:
            before = self.copy()
            self._run(self._plain)
            for name, value in self._state.items():
                torch.where(active, value, before[name], out=value)
        elif is_in_step and self._can_fuse:
            self._run(self._fused)
            for count in self._counts:
                count.copy_(count[:1].expand_as(count))
        else:
            self._run(self._plain)

    def reset(self, lane: int) -> None:
        for value in self._state.values():
            value[lane] = 0

    def keep(self, kept: Sequence[int]) -> None:
        self._state = {name: keep_rows(value, kept) for name, value in self._state.items()}
        self._bind()

    def state_dict(self, lane: int) -> dict[str, Tensor]:
        return {name: _flat(value[lane]).clone() for name, value in self._state.items()}

    def load_state_dict(self, state: dict[str, Tensor], lane: int) -> None:
        self.reset(lane)
        for name, value in state.items():
            self._state[name][lane] = value.to(self._stack.flat.device)

    def copy(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._state.items()}

    def copy_lane(self, copy: dict[str, Tensor], lane: int) -> None:
        for name, value in self._state.items():
            copy[name][lane] = value[lane]

    def restore(self, copy: dict[str, Tensor], lane: int) -> None:
        for name, value in copy.items():
            self._state[name][lane] = value[lane]


def _flat(value: Tensor) -> Tensor:
    """A lane's moments as `(P,)`, its counts as a number without dimensions."""
    return value.reshape(()) if value.numel() == 1 and value.dim() < 2 else value.reshape(-1)


class _Rates:
    """The learning rate of every lane and role, and its schedule.

    Schedulers change the groups of an optimizer; here one that trains nothing, for each lane, has a
    group for each role.
    """

    def __init__(
        self,
        learning_rate: Sequence[Tensor],
        sizes: Sequence[int],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None,
    ) -> None:
        self._sizes, self._scheduler = sizes, scheduler
        self._is_shared = all(rate is learning_rate[0] for rate in learning_rate)
        numbers = torch.stack(list(learning_rate), 1)
        width = 1 if self._is_shared else sum(sizes)
        self.tensor = torch.empty(len(numbers), width, device=numbers.device)
        """`(L, 1)` where one rate serves all roles, `(L, P)` otherwise."""
        self._schedules: list[Any] = [None] * len(numbers)
        for lane, rates in enumerate(numbers.tolist()):
            self.place(lane, rates)

    def place(self, lane: int, rates: Sequence[float]) -> None:
        if self._scheduler is not None:
            groups = [{"params": [nn.Parameter(torch.zeros(()))], "lr": rate} for rate in rates]
            self._schedules[lane] = self._scheduler(torch.optim.SGD(groups, lr=1.0))
            rates = self._scheduled(lane)
        self._write(lane, rates)

    def adjust(self, lane: int, rates: Sequence[float]) -> None:
        if self._scheduler is not None:
            schedule = self._schedules[lane]
            for group, rate in zip(schedule.optimizer.param_groups, rates, strict=True):
                group["lr"] *= rate / group["initial_lr"]
                group["initial_lr"] = rate
            schedule.base_lrs = list(rates)
            rates = self._scheduled(lane)
        self._write(lane, rates)

    def _scheduled(self, lane: int) -> list[float]:
        return [group["lr"] for group in self._schedules[lane].optimizer.param_groups]

    def _write(self, lane: int, rates: Sequence[float]) -> None:
        if self._is_shared:
            self.tensor[lane] = rates[0]
            return
        for part, rate in zip(
            torch.split(self.tensor[lane], list(self._sizes)), rates, strict=True
        ):
            part.fill_(rate)

    def step(self, lanes: Sequence[int]) -> None:
        if self._scheduler is None:
            return
        with warnings.catch_warnings():
            # The holder never steps: what it would warn of is the order of steps.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            for lane in lanes:
                self._step_lane(lane)

    def _step_lane(self, lane: int) -> None:
        schedule = self._schedules[lane]
        try:
            schedule.step()
        except ValueError as error:
            raise ConfigError(
                f"lr_scheduler {type(schedule).__name__} must last for all rounds of updates, "
                f"but: {error}"
            ) from error
        self._write(lane, self._scheduled(lane))

    def keep(self, kept: Sequence[int]) -> None:
        self.tensor = keep_rows(self.tensor, kept)
        self._schedules = [self._schedules[lane] for lane in kept]

    def state_dict(self, lane: int) -> dict[str, Any]:
        if self._scheduler is None:
            return {}
        return {
            "rates": self._scheduled(lane),
            "schedule": _plain(self._schedules[lane].state_dict()),
        }

    def load_state_dict(self, state: dict[str, Any], lane: int) -> None:
        if self._scheduler is None:
            return
        schedule = self._schedules[lane]
        schedule.load_state_dict(state["schedule"])
        groups = schedule.optimizer.param_groups
        for group, rate, base in zip(groups, state["rates"], schedule.base_lrs, strict=True):
            group["lr"], group["initial_lr"] = rate, base
        self._write(lane, state["rates"])


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """Drops what a checkpoint cannot hold: functions that the config names anyway."""
    return {key: value for key, value in state.items() if isinstance(value, (int, float, list))}


def _build(
    optimizer_class: OptimizerClass,
    parameters: list[nn.Parameter],
    settings: Mapping[str, Any],
    options: Mapping[str, bool],
) -> torch.optim.Optimizer:
    """Builds an optimizer; `options` are told to it where it knows them."""
    known = inspect.signature(optimizer_class).parameters
    extra = {key: value for key, value in options.items() if key in known and key not in settings}
    try:
        return optimizer_class(parameters, lr=1.0, **settings, **extra)
    except (TypeError, ValueError) as error:
        name = getattr(optimizer_class, "__name__", optimizer_class)
        raise ConfigError(
            f"Optimizer {name} must take optimizer_kwargs {dict(settings)}, but: {error}."
        ) from error


def check_optimizer(optimizer_class: OptimizerClass, settings: Mapping[str, Any]) -> None:
    """Tries on six numbers whether a step is element-wise and proportional to the learning rate.

    Raises:
        ConfigError: it is not.
    """
    name = getattr(optimizer_class, "__name__", str(optimizer_class))
    start = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]])
    gradients = [torch.tensor([[1.0, 2.0, 3.0], [-0.1, 0.2, 5.0]]), -start]
    try:
        together = _trial_run(optimizer_class, settings, start, gradients, 1.0)
        alone = torch.cat(
            [
                _trial_run(
                    optimizer_class,
                    settings,
                    start[i : i + 1],
                    [g[i : i + 1] for g in gradients],
                    1.0,
                )
                for i in range(2)
            ]
        )
        small = _trial_run(optimizer_class, settings, start, gradients[:1], 1e-3)
        large = _trial_run(optimizer_class, settings, start, gradients[:1], 1.0)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"Optimizer {name} must be able to step without a closure, but: {error}. Use Adam, "
            "SGD or RMSprop."
        ) from error
    is_proportional = torch.allclose((small - start) * 1e3, large - start, rtol=1e-2, atol=1e-3)
    if not torch.allclose(together, alone, atol=1e-6) or not is_proportional:
        raise ConfigError(
            f"Optimizer {name} must be element-wise with steps proportional to the learning "
            "rate, but is not. "
            "Use SGD, Adam, AdamW, RMSprop, Adagrad, NAdam, RAdam, Adamax or Adadelta."
        )


def _trial_run(
    optimizer_class: OptimizerClass,
    settings: Mapping[str, Any],
    start: Tensor,
    gradients: Sequence[Tensor],
    rate: float,
) -> Tensor:
    parameter = nn.Parameter(start.clone())
    optimizer = _build(optimizer_class, [parameter], settings, {"fused": True})
    for group in optimizer.param_groups:
        group["lr"] = rate
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def _can_stack(optimizer_class: OptimizerClass, settings: Mapping[str, Any]) -> bool:
    """Tries whether a lane that begins later than another goes where it would go alone."""
    stack = _Numbers(torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]]))
    alone = _Numbers(stack.flat[1:].clone())
    gradients = torch.tensor([[1.0, 2.0, 3.0], [-0.1, 0.2, 5.0]])
    separate = _Separate(alone, optimizer_class, settings)
    try:
        with torch.no_grad():
            stacked = _Stacked(stack, optimizer_class, settings)
            stack.grad.copy_(gradients)
            stacked.step(torch.tensor([[True], [False]]), False)
            stack.flat[1:].copy_(alone.flat)
            for number in (1, 2):
                stack.grad.copy_(gradients * number)
                alone.grad.copy_(gradients[1:] * number)
                stacked.step(None, False)
                separate.step(None, False)
    except (KeyError, RuntimeError, TypeError, ValueError):
        return False  # a KeyError where state is made before the first step, as by older Adagrads
    return torch.allclose(stack.flat[1:], alone.flat, atol=1e-6)


class _Numbers:
    """A stack without networks."""

    def __init__(self, flat: Tensor) -> None:
        self.flat, self.grad = flat, torch.zeros_like(flat)
