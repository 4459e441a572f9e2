"""NNI experiments: confined to this machine, looked after, resumed."""

from __future__ import annotations

from sweeprl.nni.configuration import ExperimentFolder, write_experiment
from sweeprl.nni.confinement import confined
from sweeprl.nni.experiments import create, resume, stop
from sweeprl.nni.watchdog import Outcome, watch

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
