"""What holds while a sweep is at work: its database is open, Optuna's own log is quiet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import optuna
from optuna.storages import BaseStorage
from sqlalchemy.engine import URL

from sweeprl.sweeps.storage import close_storage, open_storage

__all__ = ["opened_storage", "quiet_optuna"]


@contextmanager
def opened_storage(
    url: URL, grace_seconds: int, say: Callable[[str], None] | None = None
) -> Iterator[BaseStorage]:
    """Opens a database.

    Args:
        url: of it.
        grace_seconds: without a sign of life, after which a trial is stale.
        say: takes lines meant for the user.
    """
    storage = open_storage(
        url.render_as_string(hide_password=False),
        heartbeat_interval=max(1, grace_seconds // 4),
        grace_period=grace_seconds,
        say=say,
    )
    try:
        yield storage
    finally:
        close_storage(storage)


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """The view shows how the sweep goes; Optuna's own lines would come between."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
