"""Executors: they train the trials that they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeprl.lazy import on_first_use

if TYPE_CHECKING:
    from sweeprl.executors.base import Executor
    from sweeprl.executors.in_process import InProcessExecutor
    from sweeprl.executors.lanes import LanesExecutor
    from sweeprl.executors.processes import ProcessExecutor
else:
    __getattr__, __dir__ = on_first_use(__name__)

__all__ = ["Executor", "InProcessExecutor", "LanesExecutor", "ProcessExecutor"]
