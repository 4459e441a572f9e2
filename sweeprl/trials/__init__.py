"""Trials: a config to be trained on one or more seeds, and who hears how it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeprl.lazy import on_first_use

if TYPE_CHECKING:
    from sweeprl.trials.reporter import MemoryReporter, Reporter
    from sweeprl.trials.reporting import ReportOnGrid
    from sweeprl.trials.running import run_here, run_trial, train_seed
    from sweeprl.trials.tally import Listener, Tally
    from sweeprl.trials.trial import Trial, TrialOutcome
else:
    __getattr__, __dir__ = on_first_use(__name__)

__all__ = [
    "Listener",
    "MemoryReporter",
    "ReportOnGrid",
    "Reporter",
    "Tally",
    "Trial",
    "TrialOutcome",
    "run_here",
    "run_trial",
    "train_seed",
]
