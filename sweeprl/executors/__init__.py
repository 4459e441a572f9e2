"""Executors: they train the trials that they are given."""

from sweeprl.executors.base import Executor
from sweeprl.executors.in_process import InProcessExecutor
from sweeprl.executors.lanes import LanesExecutor
from sweeprl.executors.processes import ProcessExecutor

__all__ = ["Executor", "InProcessExecutor", "LanesExecutor", "ProcessExecutor"]
