"""Names for coordinators, of which no two that live bear the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from sweeprl.errors import ConfigError

__all__ = ["slot"]


@contextmanager
def slot(folder: Path, is_alone: bool) -> Iterator[str]:
    """Takes a name while the context lasts; the system gives it back when the process dies.

    Args:
        folder: of the sweep.
        is_alone: whether there may be no other coordinator, here or elsewhere.

    Raises:
        ConfigError: there is one already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = "coordinator" if is_alone else socket.gethostname()
    for number in count(1):
        taken = name if number == 1 else f"{name}-{number}"
        lock = FileLock(folder / f"{taken}.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if is_alone:
                raise ConfigError(
                    f"At most one process may run the sweep in '{folder}', but another one does. "
                    "Wait for it or stop it; several can share a sweep through a database, see "
                    "--storage."
                ) from None
            continue
        try:
            yield taken
        finally:
            lock.release()
        return
