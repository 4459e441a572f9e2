"""Starts an experiment's resident worker: `python -m sweeprl.cli.resident LISTENING_SOCKET`."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeprl.cli.settings import changes_of, load_changed

if TYPE_CHECKING:
    from sweeprl.config import TrialConfig

__all__ = ["main"]


def main() -> None:
    """Is the process of a resident worker."""
    from sweeprl.nni.warm.resident import Resident

    logging.basicConfig(level=logging.INFO, format="[%(asctime)s] %(message)s")
    listener = socket.socket(fileno=int(sys.argv[1]))
    Resident(listener, _base).serve()


def _base(request: dict[str, Any]) -> TrialConfig:
    """The config that a trial's proposal is put into."""
    changes = changes_of(request["settings"], request["seed"])
    return load_changed(Path(request["config"]), changes)


if __name__ == "__main__":
    main()
