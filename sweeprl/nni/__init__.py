"""NNI experiments: confined to this machine, looked after, resumed."""

from __future__ import annotations

from sweeprl.nni.confinement import confined
from sweeprl.nni.running.experiments import create, resume, stop
from sweeprl.nni.running.watchdog import Outcome, watch
from sweeprl.nni.writing.configuration import ExperimentFolder, write_experiment

__all__ = [
    "ExperimentFolder",
    "Outcome",
    "confined",
    "create",
    "resume",
    "stop",
    "watch",
    "write_experiment",
]
