"""One trial after the other, in this process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sweeprl.lightning import Callback
from sweeprl.trials import Trial, run_here

__all__ = ["InProcessExecutor"]


class InProcessExecutor:
    """Trains one trial after the other, where a debugger and the caller's classes can be.

    Args:
        pl_callbacks: further Lightning callbacks.
    """

    def __init__(self, pl_callbacks: Sequence[Callback] = ()) -> None:
        self._callbacks = pl_callbacks
        self.was_stopped = False
        """Whether a signal ended the last run."""

    def run(self, trials: Iterable[Trial]) -> None:
        """Trains all trials; each one's reporter hears how it went.

        Raises:
            Exception: what a reporter raised, or a trial where it was not its own failure.
        """
        self.was_stopped = False
        for trial in trials:
            outcome = run_here(trial, self._callbacks)
            if outcome.status == "stopped":
                self.was_stopped = True
                return

    def close(self) -> None:
        """Nothing waits."""
