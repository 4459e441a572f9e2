"""Packages whose names are imported when they are first used (PEP 562).

So what trains nothing costs neither torch nor Lightning: `sweeprl --help`, `sweeprl nni status`,
and what NNI runs beside its trials.
"""

from __future__ import annotations

import ast
import gc
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["on_first_use"]


def on_first_use(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns a package's `__getattr__` and `__dir__`, for the names under `if TYPE_CHECKING:`.

    They stand there as in any other package, once, for people and type checkers.
    """
    homes = _homes(package)
    own = vars(sys.modules[package])

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        with _no_collecting():
            try:
                module = importlib.import_module(homes[name])
            except AttributeError as error:  # which would say that the package lacks the name
                raise ImportError(f"'{homes[name]}' cannot be imported: {error}") from error
        own[name] = getattr(module, name)
        return own[name]

    return find, lambda: sorted({*own, *homes})


def _homes(package: str) -> dict[str, str]:
    """The module of each name."""
    source = inspect.getsource(sys.modules[package])
    return {
        alias.name: node.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Imports make hardly any garbage, and a sixth of their time goes into looking for it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
