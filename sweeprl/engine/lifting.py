"""From the rule of one agent to the rule of all: lifted by vmap, and traced to plain operations.

Under `torch.func.vmap`, autograd and `nn.Module`, every operation of a rule passes through several
layers of Python. They cost more than the arithmetic of small networks, so the rule and its gradient
are traced once into a flat list of operations, which is what runs, on a CPU without any Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_unflatten

__all__ = ["Parameters", "Record", "Rule", "leaves_of", "lifted", "with_gradient"]

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
    """Adds to a loss, `(values (L,), logs)`, or that of one agent without L, its gradient.

    Args:
        rule: the loss.
        roles: whose parameters it trains.

    Returns:
        `(parameters, ...)` to `(values, logs, gradient)`; the gradient is that of all parameters,
        `(L, P)`. As no lane's loss sees another lane, the gradient of the sum is each lane's own.
    """

    def run(parameters: Parameters, *args: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        leaves = [leaf for role in roles for leaf in parameters[role].values()]
        with torch.enable_grad():
            values, logs = rule(parameters, *args)
            gradients = torch.autograd.grad(values.sum(), leaves)
        columns = [gradient.reshape(values.numel(), -1) for gradient in gradients]
        return values.detach(), logs, torch.cat(columns, 1)

    return run


def leaves_of(arguments: Iterable[Any]) -> list[Tensor]:
    """Returns all tensors in arguments that are tensors or mappings, in order.

    What torch's `tree_leaves` returns; every call of a record pays for this, so that it is plain.
    """
    leaves: list[Tensor] = []
    for argument in arguments:
        if isinstance(argument, Tensor):
            leaves.append(argument)
        else:
            leaves += leaves_of(argument.values())
    return leaves


class Record:
    """What a rule does to tensors of certain shapes, as a flat list of operations.

    Making it leaves torch's global generators as they were, whatever the rule draws from them.

    Args:
        rule: what is recorded.
        examples: what it is given.
        num_few: runs of the list in Python, before it pays to hand it to TorchScript's interpreter.
    """

    def __init__(self, rule: Rule, examples: Sequence[Any], num_few: int = 0) -> None:
        leaves, self._form = tree_flatten(examples)
        self._gpus = {leaf.device.index for leaf in leaves if leaf.device.type == "cuda"}
        # With a mode at hand, the tracer need not make one for each operation, and note where.
        mode = tracing(TracingContext(FakeTensorMode(allow_fallback_kernels=True)))
        with torch.random.fork_rng(devices=self._gpus), mode:
            self._listed: Any = make_fx(rule)(*examples)
        self._form_of_result: Any = None
        self._num_left = num_few
        self._run: Callable[..., tuple[Tensor, ...]] = self._run_in_python

    def __call__(self, leaves: list[Tensor]) -> Any:
        """Runs it on the `leaves_of` arguments of these shapes."""
        if self._num_left == 0 and not self._gpus:  # on a GPU launches are what counts
            with torch.random.fork_rng(devices=[]):
                self._run = _interpreted(self._run_in_python, leaves)
        self._num_left -= 1
        with torch.no_grad():
            found = self._run(*leaves)
        return tree_unflatten(list(found), self._form_of_result)

    def _run_in_python(self, *leaves: Tensor) -> tuple[Tensor, ...]:
        found, self._form_of_result = tree_flatten(
            self._listed(*tree_unflatten(list(leaves), self._form))
        )
        return tuple(found)


def _interpreted(
    function: Callable[..., tuple[Tensor, ...]], examples: list[Tensor]
) -> Callable[..., tuple[Tensor, ...]]:
    """Hands a flat list of operations to TorchScript's interpreter, which runs it without Python.

    Torch calls TorchScript deprecated, and has nothing else that does this without a compiler;
    where it is gone or does not know an operation, as the gradient of LayerNorm, the list runs in
    Python.
    """
    try:
        script = _script_of(function, tuple(examples))
    except (AttributeError, RuntimeError, TypeError):
        return function
    torchscript: Any = torch.jit

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        # As it is: what the interpreter would optimise may change the last digit of a number.
        with torchscript.optimized_execution(False):
            found: tuple[Tensor, ...] = script(*given)
        return found

    return run


@torch.no_grad()
def _script_of(function: Callable[..., tuple[Tensor, ...]], examples: tuple[Tensor, ...]) -> Any:
    """As `torch.jit.trace`, whose functions stay in memory until the process ends."""
    graph, _ = torch._C._create_graph_by_tracing(function, examples, lambda _: "", True, False)
    return torch._C.CompilationUnit().create_function("record", graph, False)


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
