"""No password in an experiment's config.

NNI copies the config into the command line of its tuner's process, into its database and onto its
web page: the first is shown to every user of the machine by `ps`, the last to all who can connect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeprl.errors import ConfigError

__all__ = ["check_no_password"]


def check_no_password(arguments: Mapping[str, Any]) -> None:
    """Refuses a tuner whose `storage` holds a password.

    Args:
        arguments: `classArgs` of the tuner.

    Raises:
        ConfigError: it does, or is no database's URL.
    """
    storage = arguments.get("storage")
    if not isinstance(storage, str):
        return
    from sweeprl.sweeps.storage import address  # which imports Optuna

    url = address(storage)
    if url.password is None and "password" not in url.query:
        return
    raise ConfigError(
        "storage must hold no password, since NNI shows the arguments of a tuner to every user of "
        f"this machine, but got {url.set(query={})}. Leave the password out of it; PostgreSQL's "
        "is read from ~/.pgpass, and MySQL's with ?read_default_file=FILE."
    )
