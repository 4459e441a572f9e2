"""Sweeps: a search with Optuna, and the confirmation of what it finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeprl.lazy import on_first_use

if TYPE_CHECKING:
    from sweeprl.sweeps.confirming import confirm, final_test
    from sweeprl.sweeps.entries import Entry, entries_of
    from sweeprl.sweeps.folder import SweepFolder
    from sweeprl.sweeps.progress import Progress, SweepView
    from sweeprl.sweeps.result import SweepResult
    from sweeprl.sweeps.sweep import Sweep
else:
    __getattr__, __dir__ = on_first_use(__name__)

__all__ = [
    "Entry",
    "Progress",
    "Sweep",
    "SweepFolder",
    "SweepResult",
    "SweepView",
    "confirm",
    "entries_of",
    "final_test",
]
