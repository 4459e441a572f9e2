"""One torch optimizer for all lanes, each lane with its own learning rate."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sweeprl.engine.lanes import Stack
from sweeprl.errors import ConfigError

__all__ = ["LaneOptimizer", "check_optimizer"]

OptimizerClass = Callable[..., torch.optim.Optimizer]


class LaneOptimizer:
    """Steps a stack of parameters with any element-wise optimizer.

    The optimizer takes a step with learning rate 1 over all lanes at once; the step is then scaled
    by the learning rate of each lane and role. This equals L separate optimizers wherever a step
    is proportional to the learning rate, which is checked when it is built.

    Args:
        stack: what is trained; its `grad` holds the gradient.
        optimizer_class: builds the optimizer.
        optimizer_kwargs: its settings, without the learning rate.
        learning_rate: for each role of the stack, one number for each lane, `(L,)`.
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
        self._gradient_max = gradient_max.unsqueeze(1)
        self._clips = bool(torch.isfinite(gradient_max).any())
        self._parameter = nn.Parameter(stack.flat)
        self._parameter.grad = stack.grad
        self._optimizer = _build(optimizer_class, [self._parameter], optimizer_kwargs)
        # Without torch's wrappers for profiling and hooks, which a small step would notice.
        self._step: Any = inspect.unwrap(type(self._optimizer).step)
        self._rates = _Rates(learning_rate, stack.sizes, scheduler)

    @torch.no_grad()
    def step(self) -> None:
        """Moves the parameters along the gradient in the stack."""
        flat, grad = self._stack.flat, self._stack.grad
        if self._clips:
            for part in torch.split(grad, self._stack.sizes, 1):
                norm = torch.linalg.vector_norm(part, dim=1, keepdim=True)
                part.mul_((self._gradient_max / (norm + 1e-6)).clamp_max_(1.0))
        before = flat.clone()
        self._step(self._optimizer)
        torch.lerp(before, flat, self._rates.tensor, out=flat)

    def step_schedule(self) -> None:
        """Moves the learning rates along their schedule."""
        self._rates.step()

    def state_dict(self) -> dict[str, Any]:
        """Returns moments, step counts and the schedule's place."""
        return {"optimizer": self._optimizer.state_dict(), "rates": self._rates.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state` was taken."""
        self._optimizer.load_state_dict(state["optimizer"])
        self._rates.load_state_dict(state["rates"])


class _Rates:
    """The learning rate of every lane and role, and its schedule.

    Schedulers change the groups of an optimizer; here one that trains nothing has a group for each
    lane and role.
    """

    def __init__(
        self,
        learning_rate: Sequence[Tensor],
        sizes: Sequence[int],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None,
    ) -> None:
        self._sizes = sizes
        self._shape = (len(learning_rate), len(learning_rate[0]))
        self._device = learning_rate[0].device
        numbers = torch.stack(list(learning_rate)).flatten().tolist()
        groups = [{"params": [nn.Parameter(torch.zeros(()))], "lr": rate} for rate in numbers]
        self._holder = torch.optim.SGD(groups, lr=1.0)
        self._scheduler = scheduler(self._holder) if scheduler else None
        self.tensor = self._read()

    def _read(self) -> Tensor:
        """`(L, 1)` where one rate serves all roles, `(L, P)` otherwise."""
        numbers = [group["lr"] for group in self._holder.param_groups]
        rates = torch.tensor(numbers, device=self._device).view(self._shape)
        if bool((rates == rates[0]).all()):
            return rates[0].unsqueeze(1)
        columns = [
            rate.unsqueeze(1).expand(-1, size)
            for rate, size in zip(rates, self._sizes, strict=True)
        ]
        return torch.cat(columns, 1)

    def step(self) -> None:
        if self._scheduler is None:
            return
        with warnings.catch_warnings():
            # The holder never steps: what it would warn of is the order of steps.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            try:
                self._scheduler.step()
            except ValueError as error:
                name = type(self._scheduler).__name__
                raise ConfigError(
                    f"lr_scheduler {name} must last for all rounds of updates, but: {error}"
                ) from error
        self.tensor = self._read()

    def state_dict(self) -> dict[str, Any]:
        if self._scheduler is None:
            return {}
        rates = [group["lr"] for group in self._holder.param_groups]
        return {"rates": rates, "schedule": _plain(self._scheduler.state_dict())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self._scheduler is None:
            return
        self._scheduler.load_state_dict(state["schedule"])
        for group, rate in zip(self._holder.param_groups, state["rates"], strict=True):
            group["lr"] = rate
        self.tensor = self._read()


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """Drops what a checkpoint cannot hold: functions that the config names anyway."""
    return {key: value for key, value in state.items() if isinstance(value, (int, float, list))}


def _build(
    optimizer_class: OptimizerClass, parameters: list[nn.Parameter], settings: Mapping[str, Any]
) -> torch.optim.Optimizer:
    has_fused = "fused" in inspect.signature(optimizer_class).parameters
    extra = {"fused": True} if has_fused and "fused" not in settings else {}
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
    optimizer = _build(optimizer_class, [parameter], settings)
    for group in optimizer.param_groups:
        group["lr"] = rate
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()
