"""A PostgreSQL server of the tests' own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

PASSWORD = "s3cret-word"


@dataclass
class Server:
    """A PostgreSQL server on a loopback port that the tests may treat badly."""

    binaries: Path
    folder: Path
    port: int
    user: str | None

    def run(self, *command: str, timeout: float = 60) -> str:
        # The server keeps its standard output open, so that a pipe would not end.
        output = self.folder / "output.txt"
        with output.open("wb") as file:
            done = subprocess.run(
                [str(self.binaries / command[0]), *command[1:]],
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                user=self.user,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            )
        text = output.read_text()
        assert done.returncode == 0, text
        return text

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self.run(
            *("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(self.folder / "log")),
            *("-o", f"{options} -c fsync=off", "start"),
        )

    def stop(self, mode: str = "fast") -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def is_running(self) -> bool:
        return (self.folder / "data" / "postmaster.pid").exists()

    def sql(self, command: str, database: str = "postgres") -> list[tuple]:
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(command)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str) -> str:
        return f"postgresql://tester:{PASSWORD}@127.0.0.1:{self.port}/{database}"


def _binaries() -> Path | None:
    on_path = shutil.which("pg_ctl")
    if on_path and shutil.which("initdb"):
        return Path(on_path).parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user postgres or nobody")


@pytest.fixture(scope="session")
def postgres_server():
    """A PostgreSQL server with a data folder of its own, running."""
    pytest.importorskip("psycopg", reason="the PostgreSQL driver psycopg is not installed")
    if sys.platform == "win32":
        pytest.skip("the server is started as Unix does")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (initdb and pg_ctl)")
    user = _user()
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory(prefix="sweeprl-postgres-", dir="/tmp") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)
        server = Server(binaries, folder, _free_port(), user)
        server.run(
            *("initdb", "-D", str(folder / "data"), "-U", "tester", "-E", "UTF8", "--locale=C"),
            *("-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync"),
        )
        server.start()
        try:
            yield server
        finally:
            if server.is_running():
                server.stop("immediate")


_numbers = iter(range(10_000))


@pytest.fixture
def postgres(postgres_server):
    """The URL of an empty database on a running server; `postgres_server` is the server."""
    if not postgres_server.is_running():
        postgres_server.start()
    name = f"sweep{next(_numbers)}"
    postgres_server.sql(f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    if not postgres_server.is_running():
        postgres_server.start()
    postgres_server.sql(f"DROP DATABASE {name} WITH (FORCE)")
