"""What the process does that workers are forked from: it imports all that they need."""

from __future__ import annotations

import gc
import importlib
import os
import sys

from sweeprl.executors._beginning import allow_signals, one_thread

__all__: list[str] = []

_PID = os.getpid()


def _begin_child() -> None:
    """What is forked hears signals, to which this process itself is deaf."""
    if os.getppid() == _PID:
        allow_signals()


if sys.argv[:1] == ["-c"] and "multiprocessing.forkserver" in sys.modules:
    os.setsid()  # what a terminal sends is for the parent
    os.register_at_fork(after_in_child=_begin_child)
    # Nothing comes from the folder in which the sweep happens to be begun.
    sys.path[:] = [entry for entry in sys.path if entry]
    with one_thread():
        importlib.import_module("sweeprl.executors._worker")
    gc.freeze()  # a search for garbage would copy what was imported into every worker
