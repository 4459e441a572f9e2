"""What every executor can do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sweeprl.trials import Trial

__all__ = ["Executor"]


class Executor(Protocol):
    """Trains trials, as many at a time as it has room for."""

    @property
    def was_stopped(self) -> bool:
        """Whether a signal ended the last run."""

    def run(self, trials: Iterable[Trial]) -> None:
        """Trains all trials; each one's reporter hears how it went.

        Args:
            trials: asked for the next one when there is room. It may have none now, and one after
                some trial has ended.

        Raises:
            Exception: what a reporter raised, or a trial where it was not its own failure. The
                others were stopped, and can go on from their checkpoints.
        """

    def close(self) -> None:
        """Ends whatever waits for the next run."""
