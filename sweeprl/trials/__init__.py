"""Trials: a config to be trained on one or more seeds, and who hears how it goes."""

from sweeprl.trials.reporter import MemoryReporter, Reporter
from sweeprl.trials.reporting import ReportOnGrid
from sweeprl.trials.running import run_here, run_trial, train_seed
from sweeprl.trials.tally import Listener, Tally
from sweeprl.trials.trial import Trial, TrialOutcome

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
