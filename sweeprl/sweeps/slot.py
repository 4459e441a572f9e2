"""Names for coordinators, of which no two that live bear the same."""

from __future__ import annotations

import hashlib
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy.engine import URL

from sweeprl.errors import Occupied

__all__ = ["slot"]


@contextmanager
def slot(folder: Path, url: URL) -> Iterator[tuple[str, bool]]:
    """Takes a name while the context lasts; the system gives it back when the process dies.

    Args:
        folder: of the sweep.
        url: of its database; one that is a file serves one coordinator at a time.

    Returns:
        The name, and whether no other coordinator can be at work on the sweep.

    Raises:
        Occupied: the database is a file, and another process uses it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    is_alone = url.get_backend_name() == "sqlite"
    path = Path(str(url.database)) if is_alone else folder / "coordinator"
    for number in count(1):
        lock = FileLock(path.with_name(f"{path.name}-{number}.lock"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if is_alone:
                raise Occupied(
                    f"At most one process may run the sweep in '{path}', but another one does. "
                    "Wait for it or stop it; several can share a sweep through a database, see "
                    "--storage."
                ) from None
            continue
        try:
            yield f"{_place(folder)}-{number}", is_alone
        finally:
            lock.release()
        return


def _place(folder: Path) -> str:
    """The same in every process that sees this folder on this machine, and in no other."""
    machine = f"{socket.gethostname()}-{uuid.getnode():x}"
    return f"{machine}-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]}"
