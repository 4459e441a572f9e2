"""Trials: a config to be trained on one or more seeds, and who hears how it goes."""

from sweeprl.trials.reporter import MemoryReporter, Reporter
from sweeprl.trials.reporting import ReportOnGrid
from sweeprl.trials.tally import Tally
from sweeprl.trials.trial import Trial, TrialOutcome

__all__ = ["MemoryReporter", "ReportOnGrid", "Reporter", "Tally", "Trial", "TrialOutcome"]
