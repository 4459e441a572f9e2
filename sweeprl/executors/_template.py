"""What the process does that workers are forked from: it imports all that they need."""

from __future__ import annotations

import gc
import os
import signal
import sys

__all__: list[str] = []

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_PID = os.getpid()


def _allow_signals() -> None:
    """What is forked hears signals again, to which this process itself is deaf."""
    if os.getppid() == _PID:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


def _import_all() -> None:
    """Imports for one thread, and nothing of the folder in which the sweep happens to be begun."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    sys.path[:] = [entry for entry in sys.path if entry]  # each worker gets the parent's
    import sweeprl.executors._worker  # noqa: F401

    os.environ.update({name: value for name, value in before.items() if value is not None})
    for name in [name for name, value in before.items() if value is None]:
        del os.environ[name]
    gc.freeze()  # a search for garbage would copy what was imported into every worker


if sys.argv[:1] == ["-c"] and "multiprocessing.forkserver" in sys.modules:
    os.setsid()  # what a terminal sends is for the parent
    os.register_at_fork(after_in_child=_allow_signals)
    _import_all()
