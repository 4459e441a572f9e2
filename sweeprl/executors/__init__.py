"""Executors: they train the trials that they are given."""

from sweeprl.executors.lanes import LanesExecutor
from sweeprl.executors.processes import ProcessExecutor

__all__ = ["LanesExecutor", "ProcessExecutor"]
