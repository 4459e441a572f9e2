"""Notices that nothing happens any more while trials run: they may hang, which NNI never asks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from sweeprl.nni.reading.manager import Job

__all__ = ["Quiet"]


class Quiet:
    """Says once that nothing has happened for long, until a trial begins or ends.

    Args:
        limit: seconds without a report, and without a change of any trial.
        last_report: returns when the latest report came, in seconds of the epoch; None where none
            has. Asked only when no trial has changed for so long.
    """

    def __init__(self, limit: float, last_report: Callable[[], float | None]) -> None:
        self._limit, self._last_report = limit, last_report
        self._statuses: dict[str, str] = {}
        self._since = time.time()
        self._is_said = False

    def look(self, jobs: Sequence[Job]) -> str | None:
        """Returns what is to be said now."""
        statuses = {job.id: job.status for job in jobs}
        if statuses != self._statuses:
            self._statuses, self._since, self._is_said = statuses, time.time(), False
        running = [job.name for job in jobs if not job.is_over]
        if self._is_said or not running or not self._is_long():
            return None
        self._is_said = True
        return (
            f"Nothing has happened for {self._limit / 60:.3g} min: no report, and no trial has "
            f"begun or ended. If they hang, cancel them on the web page: {', '.join(running)}. "
            "`sweeprl nni-config --trial-minutes N` limits each trial of a new experiment."
        )

    def _is_long(self) -> bool:
        if time.time() - self._since < self._limit:
            return False
        self._since = max(self._since, self._last_report() or 0.0)
        return time.time() - self._since >= self._limit
