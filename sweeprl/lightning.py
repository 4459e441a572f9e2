"""PyTorch Lightning, imported without what it has no use for.

Lightning imports torchmetrics, and that, where SciPy is installed, the whole of scipy.signal, to
add a name of former versions to it, `hamming`, which one metric of speech wants: in every process
that trains, before its first step. torchmetrics is shown a module that has the name, and
scipy.signal is imported by whoever else asks for it, without the name.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "Logger",
    "ModelCheckpoint",
    "ProgressBar",
    "TensorBoardLogger",
    "pl",
]


class _StandIn(ModuleType):
    """Seems to be a module; whoever wants more of it than was set gets the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # which inspect asks of all modules
            raise AttributeError(name)
        self.step_aside()
        return getattr(importlib.import_module(self.__name__), name)

    def step_aside(self) -> None:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


@contextmanager
def _spared(module: str, name: str) -> Iterator[None]:
    """Where `module` is not imported yet, it seems to be, and to have `name`."""
    if module in sys.modules:
        yield
        return
    stand_in = _StandIn(module)
    setattr(stand_in, name, None)
    sys.modules[module] = stand_in
    try:
        yield
    finally:
        stand_in.step_aside()


with _spared("scipy.signal", "hamming"):
    import torchmetrics  # noqa: F401

import pytorch_lightning as pl  # noqa: E402
from pytorch_lightning.callbacks import (  # noqa: E402
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    ProgressBar,
)
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger  # noqa: E402
