"""Trials: a config to be trained on one or more seeds, and who hears how it goes."""

from sweeprl.trials.reporter import MemoryReporter, Reporter
from sweeprl.trials.trial import Trial, TrialOutcome

__all__ = ["MemoryReporter", "Reporter", "Trial", "TrialOutcome"]
