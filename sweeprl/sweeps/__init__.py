"""Sweeps: a search with Optuna, and the confirmation of what it finds."""

from sweeprl.sweeps.confirming import confirm
from sweeprl.sweeps.entries import Entry, entries_of
from sweeprl.sweeps.folder import SweepFolder
from sweeprl.sweeps.progress import Progress, SweepView
from sweeprl.sweeps.result import SweepResult
from sweeprl.sweeps.sweep import Sweep

__all__ = [
    "Entry",
    "Progress",
    "Sweep",
    "SweepFolder",
    "SweepResult",
    "SweepView",
    "confirm",
    "entries_of",
]
