"""PyTorch Lightning, imported without what it has no use for.

Lightning imports torchmetrics, and that, where SciPy is installed, the whole of scipy.signal, for
the sake of one name that it adds there for a metric of speech. That is up to a third of the time
until a trial's first step, so that the name is shown to torchmetrics, and the module left alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

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


@contextmanager
def _spared(module: str, name: str) -> Iterator[None]:
    """Where `module` is not imported yet, it seems to be, and to have `name`."""
    if module in sys.modules:
        yield
        return
    stand_in = ModuleType(module)
    setattr(stand_in, name, None)
    sys.modules[module] = stand_in
    try:
        yield
    finally:
        del sys.modules[module]


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
