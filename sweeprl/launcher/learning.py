"""What every LightningModule here does, for one trial or for many: experience in, updates out."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset

from sweeprl.engine import Learner
from sweeprl.lightning import pl

__all__ = ["LearningModule", "crossed", "loader"]


_LONG_ENOUGH = 0.1
"""Seconds of a batch, as Lightning calls it, beside which its hooks cost little."""


class _Batch(torch.optim.Optimizer):
    """A batch as Lightning counts it: its step runs the learner's rounds.

    Lightning's `global_step` counts the steps of optimizers, and its ModelCheckpoint saves when
    that has moved. The true optimizers belong to the engine, which steps them hundreds of times a
    round.
    """

    def __init__(self) -> None:
        super().__init__([torch.nn.Parameter(torch.zeros(()))], {"lr": 1.0})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        assert closure is not None
        return closure()


class LearningModule(pl.LightningModule):
    """Feeds experience to a learner, chunk after chunk; what comes of it is its subclasses' affair.

    What Lightning calls a batch is as many chunks as come within a tenth of a second, for its hooks
    cost more than a short chunk does, or fewer where something is due after one of them.

    Args:
        learner: one agent or many.
    """

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.learner = learner
        self.stop_requested = False
        """Whether training is to end after this chunk."""

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """What Lightning counts; the learner has its own optimizers."""
        return _Batch()

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Leaves episodes where they are; the learner moves what it needs."""
        return batch

    def training_step(self, dataloader_iter: Iterator[Any]) -> None:
        """Stores experience and makes the updates it entitles to, until something else is due.

        The iterator is Lightning's way to leave the fetching to us: it would fetch one chunk
        ahead, played by the policy before the update.
        """
        self.optimizers().step(lambda: self._learn(dataloader_iter))  # type: ignore[union-attr]

    def _learn(self, chunks: Iterator[Any]) -> None:
        deadline = time.monotonic() + _LONG_ENOUGH
        while True:
            result = next(chunks)[0]
            self.learner.store(result.transitions)
            self.remember(result, self.learner.update())
            if self.is_due() or time.monotonic() >= deadline:
                return

    @abstractmethod
    def is_due(self) -> bool:
        """Whether hooks have something to do after this chunk."""

    @abstractmethod
    def remember(self, result: Any, logs: dict[str, torch.Tensor]) -> None:
        """Takes note of a chunk and of the losses `(L,)` of the updates after it."""


def crossed(before: int, now: int, every: int) -> bool:
    """Whether a multiple of `every` lies in (before, now]."""
    return now // every > before // every


def loader(data: IterableDataset[Any]) -> DataLoader[Any]:
    """Hands on what `data` yields, as it is."""
    # A generator of its own: a loader draws from torch's global one otherwise, once an iterator.
    generator = torch.Generator()
    return DataLoader(data, batch_size=None, collate_fn=_as_it_is, generator=generator)


def _as_it_is(result: Any) -> Any:
    return result
