"""That an experiment is heard on this machine only is seen in test_experiments.py."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import nni_node
import pytest

from sweeprl.nni.confinement import confined, confined_environment

NODE = Path(nni_node.__path__[0]) / "node"


def addresses(statement: str, environ) -> list[str]:
    """Where a server of Node listens after a statement."""
    script = (
        'const server = require("http").createServer(); server.on("listening", () => {'
        "console.log(JSON.stringify(server.address())); server.close(); }); " + statement
    )
    out = subprocess.run(
        [NODE, "-e", script], env=environ, capture_output=True, text=True, check=True, timeout=30
    ).stdout
    address = json.loads(out)
    return address if isinstance(address, str) else address["address"]


@pytest.mark.parametrize(
    "statement",
    [
        "server.listen(0);",
        'server.listen("0");',
        "server.listen();",
        "server.listen(() => {});",
        "server.listen(0, () => {});",
        "server.listen(0, undefined, 5, () => {});",
        "server.listen({port: 0});",
        "server.listen({port: 0, backlog: 5}, () => {});",
    ],
)
def test_a_server_that_names_no_host_is_heard_on_loopback(statement):
    assert addresses(statement, os.environ) in ("::", "0.0.0.0")
    assert addresses(statement, confined_environment(os.environ)) == "127.0.0.1"


def test_a_server_that_names_its_host_or_path_is_left_alone(tmp_path):
    environ = confined_environment(os.environ)
    assert addresses('server.listen(0, "127.0.0.2");', environ) == "127.0.0.2"
    assert addresses('server.listen({port: 0, host: "127.0.0.2"});', environ) == "127.0.0.2"
    path = str(tmp_path / "socket")
    assert addresses(f'server.listen("{path}");', environ) == path
    assert addresses(f'server.listen({{path: "{path}"}});', environ) == path


def test_what_was_set_is_kept():
    before = {"NODE_OPTIONS": "--no-warnings", "NO_PROXY": "a.org, b.org", "HOME": "/home/me"}
    environ = confined_environment(before)
    assert environ["NODE_OPTIONS"].startswith("--no-warnings --require ")
    assert environ["NO_PROXY"] == environ["no_proxy"] == "a.org,b.org,localhost,127.0.0.1"
    assert environ["HOME"] == "/home/me"
    assert confined_environment(environ) == environ


def test_a_block_is_confined_and_leaves_no_trace(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "a.org")
    monkeypatch.delenv("no_proxy", raising=False)
    before, umask = dict(os.environ), os.umask(0o022)
    try:
        with confined():
            assert confined_environment(before).items() <= os.environ.items()
            (tmp_path / "file").touch()
        assert dict(os.environ) == before
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(umask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
