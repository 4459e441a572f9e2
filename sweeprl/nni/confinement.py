"""NNI's manager within this machine, and its files within this user.

By itself it listens on every address, asks for no password, serves any file of its user and runs
code that it is sent; its logs and database are readable by everybody. Confined, other machines
cannot reach it and other users cannot read its files. But any user of this machine can connect to
its port, and so read the files and run code as the one who has started it: NNI has no login.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

__all__ = ["LOOPBACK", "LOOPBACK_NAMES", "UMASK", "confined", "confined_environment"]

LOOPBACK = "127.0.0.1"

LOOPBACK_NAMES = ("localhost", LOOPBACK)

UMASK = 0o077
"""What an experiment writes is its user's alone."""

_BIND_LOOPBACK = Path(__file__).with_name("bind_loopback.js")


def confined_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment in which NNI's manager listens on loopback only.

    Its dispatcher and trials inherit it; none of them asks a proxy for the manager.

    >>> environment = confined_environment({"NODE_OPTIONS": "--no-warnings", "no_proxy": "a.org"})
    >>> environment["NODE_OPTIONS"].startswith("--no-warnings --require ")
    True
    >>> environment["NO_PROXY"]
    'a.org,localhost,127.0.0.1'
    """
    no_proxy = _extended(environ.get("no_proxy") or environ.get("NO_PROXY") or "")
    node_options = _preloading(environ.get("NODE_OPTIONS", ""))
    added = {"NODE_OPTIONS": node_options, "NO_PROXY": no_proxy, "no_proxy": no_proxy}
    return {**environ, **added}


@contextmanager
def confined() -> Iterator[None]:
    """Confines what begins in the meantime.

        with confined():
            nni.experiment.Experiment(config).start(8080)

    Environment and umask are the whole process's, so that no other thread should start
    processes or write files meanwhile.
    """
    environ, umask = dict(os.environ), os.umask(UMASK)
    os.environ.update(confined_environment(environ))
    try:
        yield
    finally:
        for name in ("NODE_OPTIONS", "NO_PROXY", "no_proxy"):
            _set(name, environ.get(name))
        os.umask(umask)


def _extended(no_proxy: str) -> str:
    hosts = [host.strip() for host in no_proxy.split(",") if host.strip()]
    return ",".join(dict.fromkeys([*hosts, *LOOPBACK_NAMES]))


def _preloading(node_options: str) -> str:
    path = str(_BIND_LOOPBACK).replace("\\", "\\\\").replace('"', '\\"')
    required = f'--require "{path}"'
    return node_options if required in node_options else f"{node_options} {required}".strip()


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
