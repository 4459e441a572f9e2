"""Running the same computation again and again without paying for its launch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["Captured"]

_EAGER_CALLS = 3
"""Calls before the capture: libraries choose their kernels and workspaces in the first ones."""


class Captured:
    """A function of tensors that runs as a CUDA graph on a CUDA device, as it is elsewhere.

    The function has to keep its state in tensors that it changes in place, and to make no decision
    that depends on numbers. What it returns is valid until the next call.

    Args:
        function: takes and returns tensors or None, in containers if need be; of equal shapes in
            every call.
        device: where it computes.
    """

    def __init__(self, function: Callable[..., Any], device: torch.device) -> None:
        self._function, self._device = function, device
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: list[Any] = []
        self._output: Any = None

    def __call__(self, *args: Any) -> Any:
        """Runs the function."""
        if self._device.type != "cuda" or self._calls < _EAGER_CALLS:
            self._calls += 1
            return self._function(*args)
        if self._graph is None:
            self._capture(args)
        assert self._graph is not None
        for static, given in zip(self._inputs, pytree.tree_leaves(args), strict=True):
            if isinstance(given, Tensor):
                static.copy_(given)
        self._graph.replay()
        return self._output

    def _capture(self, args: tuple[Any, ...]) -> None:
        leaves, structure = pytree.tree_flatten(args)
        self._inputs = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        static = pytree.tree_unflatten(self._inputs, structure)
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._output = self._function(*static)
        self._graph = graph
