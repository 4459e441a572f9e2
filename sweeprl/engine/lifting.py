"""From the rule of one agent to the rule of all: lifted by vmap, and traced to plain operations.

Under `torch.func.vmap` and autograd, every operation of a rule passes through several layers of
Python. They cost as much as the arithmetic of small networks, so the lifted rule and its gradient
are traced once into a flat list of operations, which is what runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["Parameters", "Rule", "lifted", "traced", "with_gradient"]

Parameters = Mapping[str, Mapping[str, Tensor]]
"""Parameters `(L, ...)` by role and name."""

Rule = Callable[..., Any]
"""`rule(parameters, hyperparameters, *args)`"""


def lifted(rule: Rule, is_nested: bool = False) -> Rule:
    """Turns a rule for one agent into the rule for stacked parameters, settings and arguments.

    Args:
        rule: for one agent.
        is_nested: whether the rule itself calls `vmap`, under which the faster layers cannot be.
    """
    over_lanes: Rule = torch.func.vmap(rule, randomness="different")
    if is_nested:
        return over_lanes

    def run(*args: Any) -> Any:
        with _Faster():
            return over_lanes(*args)

    return run


def with_gradient(rule: Rule, roles: Sequence[str]) -> Rule:
    """Adds to a lifted loss, `(values (L,), logs)`, its gradient.

    Args:
        rule: the lifted loss.
        roles: whose parameters it trains.

    Returns:
        `(parameters, ...)` to `(values, logs, gradients)`; gradients are those of each parameter,
        `(L, P_i)`. As no lane's loss sees another lane, the gradient of the sum is each lane's own.
    """

    def run(parameters: Parameters, *args: Any) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        leaves = [leaf for role in roles for leaf in parameters[role].values()]
        with torch.enable_grad():
            values, logs = rule(parameters, *args)
            gradients = torch.autograd.grad(values.sum(), leaves)
        columns = [gradient.reshape(len(values), -1) for gradient in gradients]
        return values.detach(), logs, columns

    return run


def traced(rule: Rule, *examples: Any) -> Rule:
    """Records what `rule` does to `examples`; the record runs on any tensors of the same shapes."""
    # With a mode at hand, the tracer need not make one for each operation, and note where.
    with tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True))):
        record: Any = make_fx(rule)(*examples)

    def run(*args: Any) -> Any:
        with torch.no_grad():
            return record(*args)

    return run


class _Faster(TorchFunctionMode):
    """Replaces layers by equal ones that many lanes run faster."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is functional.linear and not kwargs and len(args) == 3 and args[2] is not None:
            return _Linear.apply(*args)  # type: ignore[no-untyped-call]
        if func in (torch.tanh, Tensor.tanh) and args[0].device.type == "cpu":
            return _Tanh.apply(*args)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _Linear(torch.autograd.Function):
    """`functional.linear` of one lane; of many, where `vmap` meets it."""

    @staticmethod
    def forward(state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.linear(state, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        state, weight, _ = ctx.saved_tensors
        rows, flat = grad.reshape(-1, grad.shape[-1]), state.reshape(-1, state.shape[-1])
        return grad @ weight, rows.T @ flat, rows.sum(0)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Tensor) -> tuple[Tensor, int]:
        state, weight, bias = (
            tensor.unsqueeze(0).expand(info.batch_size, *tensor.shape)
            if dim is None
            else tensor.movedim(dim, 0)
            for tensor, dim in zip(inputs, in_dims, strict=True)
        )
        rows = state.reshape(info.batch_size, -1, state.shape[-1])
        product = _BatchedLinear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
        return product.view(*state.shape[:-1], product.shape[-1]), 0


class _BatchedLinear(torch.autograd.Function):
    """Linear layers of L lanes, `(L, B, I)` to `(L, B, O)`; gradients come out contiguous."""

    @staticmethod
    def forward(ctx: Any, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(state, weight)
        return torch.baddbmm(bias.unsqueeze(1), state, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        state, weight = ctx.saved_tensors
        grad_state = torch.bmm(grad, weight) if ctx.needs_input_grad[0] else None
        return grad_state, torch.bmm(grad.transpose(1, 2), state), grad.sum(1)


class _Tanh(torch.autograd.Function):
    """The hyperbolic tangent as `2 sigmoid(2 x) - 1`, which a CPU computes faster.

    It differs from torch's by about 1e-7, the distance of neighbouring numbers close to 1.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(values: Tensor) -> Tensor:
        return torch.rsub(torch.sigmoid(values * 2), -1, alpha=-2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (output,) = ctx.saved_tensors
        result: Tensor = torch.ops.aten.tanh_backward(grad, output)
        return result
