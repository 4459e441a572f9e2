"""How a process ends, for whoever has started it: a shell, or NNI.

Python's own modules and our errors only: the thin process of a trial has no time to import more.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from sweeprl.errors import SweepFailed, SweepRLError, TrialFailed

__all__ = ["die_of", "end_by"]


def die_of(number: int) -> None:
    """Ends this process by a signal: NNI shows the trial as canceled then, and not as failed."""
    sys.stderr.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def end_by(error: SweepRLError) -> NoReturn:
    """Ends this process with one paragraph on standard error, never a traceback.

    The exit code is 1 where the trial or sweep failed, and 2 where a setting is wrong.
    """
    sys.stderr.write(f"Error: {error}\n")
    sys.exit(1 if isinstance(error, (SweepFailed, TrialFailed)) else 2)
