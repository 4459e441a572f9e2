"""What one trial changes of its process is gone before the next one begins."""

from __future__ import annotations

import os
import signal
import sys
import sysconfig
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from sweeprl.launcher import global_rng
from sweeprl.launcher.randomness import set_global_rng

__all__ = ["as_before"]


@contextmanager
def as_before(folders: Sequence[Path]) -> Iterator[None]:
    """Undoes at its end what happened to the process's global state.

    Args:
        folders: whose modules belong to the trial, the foremost first. They are imported anew: two
            configs may each have a `qnet.py` beside them.
    """
    with ExitStack() as stack:
        for kept in (_path(), _modules(folders), _generators(), _torch_settings(), _handlers()):
            stack.enter_context(kept)
        stack.enter_context(warnings.catch_warnings())
        yield


@contextmanager
def _path() -> Iterator[None]:
    path, folder = list(sys.path), Path.cwd()
    try:
        yield
    finally:
        sys.path[:] = path
        with suppress(OSError):  # it is there no longer
            os.chdir(folder)


@contextmanager
def _generators() -> Iterator[None]:
    state = global_rng()
    try:
        yield
    finally:
        set_global_rng(state)


@contextmanager
def _torch_settings() -> Iterator[None]:
    dtype, num_threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        with torch.set_grad_enabled(torch.is_grad_enabled()):
            yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(num_threads)


@contextmanager
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: somebody outside Python has set it.
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


# ---- modules


@contextmanager
def _modules(folders: Sequence[Path]) -> Iterator[None]:
    """Imports the modules of `folders` anew, also those that the main script had imported."""
    hidden = _hiding(folders)
    for name in hidden:
        del sys.modules[name]
    before = set(sys.modules)
    try:
        yield
    finally:
        for name in set(sys.modules) - before:
            if not _is_of_sweeprl(name) and _home(sys.modules[name], folders) in folders:
                del sys.modules[name]
        sys.modules.update(hidden)


def _hiding(folders: Sequence[Path]) -> dict[str, Any]:
    """Modules that were imported from elsewhere under the name of one in `folders`."""
    own: dict[str, Path] = {}
    for folder in reversed(folders):  # the foremost has the last word
        paths = [*folder.glob("*.py"), *(file.parent for file in folder.glob("*/__init__.py"))]
        own |= {path.stem: folder for path in paths}
    allowed = {None, *_installed()}
    return {
        name: module
        for name, module in list(sys.modules.items())
        if (top := name.partition(".")[0]) in own and not _is_of_sweeprl(name)
        if _home(module, folders) not in {own[top], *allowed}
    }


def _is_of_sweeprl(name: str) -> bool:
    """Whether a module is our own, which may lie in the working directory."""
    return name.partition(".")[0] == "sweeprl"


def _home(module: Any, folders: Sequence[Path]) -> Path | None:
    """Where in `sys.path` a module was found: the innermost folder that holds it."""
    names: Mapping[str, Any] = getattr(module, "__dict__", {})
    files = [names["__file__"]] if names.get("__file__") else list(names.get("__path__", []))
    if not files:  # built in
        return None
    parents = set(Path(files[0]).resolve().parents)
    homes = parents & {*folders, *_installed(), *(Path(entry).resolve() for entry in sys.path)}
    return max(homes, key=lambda home: len(home.parts), default=None)


def _installed() -> list[Path]:
    """Where the standard library and installed packages lie."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return [Path(sysconfig.get_path(name)).resolve() for name in names]
