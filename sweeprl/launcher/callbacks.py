"""Lightning callbacks of every trial: checkpoints to go on from, and a clean end on a signal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from sweeprl.config import TrialConfig
from sweeprl.errors import TrialFailed
from sweeprl.launcher.learning import LearningModule
from sweeprl.launcher.module import TrialModule
from sweeprl.launcher.record import TrialFolder, replace_file
from sweeprl.lightning import Callback, EarlyStopping, ModelCheckpoint, pl

__all__ = [
    "LastCheckpoint",
    "StopOnSignal",
    "best_checkpoint",
    "early_stopping",
    "write_checkpoint",
]


def best_checkpoint(folder: TrialFolder) -> ModelCheckpoint:
    """Keeps the weights of the best evaluation."""
    return ModelCheckpoint(
        folder.best.parent,
        filename=folder.best.stem,
        monitor="val/return",
        mode="max",
        save_top_k=1,
        save_weights_only=True,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )


def early_stopping(config: TrialConfig) -> list[Callback]:
    """Ends a trial whose mean training return has not risen for its patience, in epochs."""
    if config.early_stopping_patience is None:
        return []
    return [
        EarlyStopping(
            "train/return_of_learner",
            mode="max",
            patience=config.early_stopping_patience,
            check_on_train_epoch_end=True,
            verbose=False,
            strict=False,  # an epoch cut short by the budget or a signal has no mean
        )
    ]


def write_checkpoint(trainer: pl.Trainer, path: Path) -> None:
    """Writes a full checkpoint; a reader finds the old one or the new one, never half of one."""
    replace_file(path, lambda temporary: trainer.save_checkpoint(temporary, weights_only=False))


class LastCheckpoint(Callback):
    """Keeps `last.ckpt`, from which an interrupted trial goes on exactly.

    It is written between two chunks, after whatever evaluation was due: `on_train_batch_start` is
    Lightning's first hook there.

    Args:
        path: of the checkpoint.
        every_seconds: wall-clock seconds between two writes.
    """

    def __init__(self, path: Path, every_seconds: float) -> None:
        self._path, self._every_seconds = path, every_seconds
        self._written_at = time.monotonic()
        self._env_steps = -1

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Writes if it is time, or if nothing follows."""
        assert isinstance(pl_module, TrialModule)
        if pl_module.is_over or time.monotonic() - self._written_at > self._every_seconds:
            for logger in trainer.loggers:
                logger.save()  # a trial that goes on keeps the rows before its checkpoint
            self._write(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes what ended in another way: by patience or a user's callback."""
        assert isinstance(pl_module, TrialModule)
        if self._env_steps != pl_module.train_data.env_steps:
            self._write(trainer, pl_module)

    def _write(self, trainer: pl.Trainer, module: TrialModule) -> None:
        write_checkpoint(trainer, self._path)
        self._written_at, self._env_steps = time.monotonic(), module.train_data.env_steps

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Writes the last good state, which the learner has gone back to.

        A second signal comes in the middle of a chunk, from which nothing can go on exactly: the
        last checkpoint stays.
        """
        if isinstance(exception, TrialFailed):
            write_checkpoint(trainer, self._path)


class StopOnSignal(Callback):
    """Ends a trial in order on SIGINT or SIGTERM: between two chunks, or before the first.

    Lightning puts its own handlers in place when `fit` and `test` begin, and raises in the middle
    of things; these stand before them from `caught` on.

    Args:
        heeds_second: whether a second signal ends the trial at once, as it should in a terminal.
            Where a tuner's manager signals trials more than once, it would break into saving.
    """

    def __init__(self, heeds_second: bool = True) -> None:
        self.received: int | None = None
        self._heeds_second = heeds_second
        self._module: LearningModule | None = None

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catches the signals while the context lasts; only a process's main thread can."""
        before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._take_over()
        try:
            yield
        finally:
            self._module = None
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals back from Lightning, and ends what was signalled before."""
        self._attach(pl_module)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the signals back from Lightning, and ends what was signalled before."""
        self._attach(pl_module)

    def _attach(self, module: pl.LightningModule) -> None:
        assert isinstance(module, LearningModule)
        self._module = module
        self._take_over()
        if self.received is not None:
            module.stop_requested = True

    def _take_over(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            if self._heeds_second:
                raise KeyboardInterrupt
            return
        self.received = number
        if self._module is not None:
            self._module.stop_requested = True


_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Those that end a trial in order."""
