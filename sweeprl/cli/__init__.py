"""The command line."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys

from sweeprl.endings import end_by
from sweeprl.errors import SweepRLError

__all__ = ["main"]


def main() -> None:
    """Runs a command; an expected error is one paragraph on standard error, never a traceback.

    Exit codes: 0 done, 1 the trial or sweep failed, 2 a setting is wrong, 128 + n stopped by
    signal n.
    """
    atexit.register(_collect_once)
    if "NNI_PLATFORM" in os.environ and sys.argv[1:2] == ["run"]:
        # Until training begins there is nothing to save. A trial that is stopped while it imports
        # would end with whatever error a module makes of KeyboardInterrupt, and count as failed.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if "--warm" in sys.argv and "NNI_PLATFORM" in os.environ and sys.platform != "win32":
        from sweeprl.cli.handover import hand_over

        reason = hand_over(sys.argv[1:])
        sys.stderr.write(f"Trained in a process of its own: {reason}.\n")

    from sweeprl.cli.app import app

    try:
        app()
    except SweepRLError as error:
        end_by(error)


def _collect_once() -> None:
    """Python looks for garbage several times at its end, and imports leave much to look at."""
    gc.collect()
    gc.freeze()
