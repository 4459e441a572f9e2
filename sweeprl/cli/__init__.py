"""The command line."""

from __future__ import annotations

import sys

from sweeprl.errors import SweepFailed, SweepRLError, TrialFailed

__all__ = ["main"]


def main() -> None:
    """Runs a command; an expected error is one paragraph on standard error, never a traceback.

    Exit codes: 0 done, 1 the trial or sweep failed, 2 a setting is wrong, 128 + n stopped by
    signal n.
    """
    from sweeprl.cli.app import app

    try:
        app()
    except SweepRLError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(1 if isinstance(error, (SweepFailed, TrialFailed)) else 2)
