"""What a sweep opens while it is at work: its database, its executor; both are closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.storages import BaseStorage
from sqlalchemy.engine import URL

from sweeprl.config import TrialConfig
from sweeprl.executors import Executor
from sweeprl.search_spaces import SearchSpace
from sweeprl.sweeps.choosing import choose_executor
from sweeprl.sweeps.storage import close_storage, open_storage

__all__ = ["opened_executor", "opened_storage", "quiet_optuna"]


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
def opened_executor(
    executor: str | Executor,
    base: TrialConfig,
    space: SearchSpace,
    config_folder: str,
    say: Callable[[str], None],
    **options: Any,
) -> Iterator[Executor]:
    """Makes the executor called so; one of the caller's own is used, and left open.

    Args:
        executor: its name, or an executor.
        base: the config of the sweep.
        space: what its trials may differ in.
        config_folder: a folder whose modules the config may name.
        say: takes lines meant for the user.
        options: for `choose_executor`.
    """
    if not isinstance(executor, str):
        yield executor
        return
    chosen, reason = choose_executor(
        executor, base, space, config_folder=config_folder, say=say, **options
    )
    say(f"{type(chosen).__name__}: {reason}.")
    try:
        yield chosen
    finally:
        chosen.close()


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """The view shows how the sweep goes; Optuna's own lines would come between."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
