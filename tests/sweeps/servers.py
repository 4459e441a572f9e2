"""Database servers of the tests' own, on a loopback port, that the tests may treat badly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.nni.folders import free_port

PASSWORD = "s3cret-word"


class Server(ABC):
    """A server that knows one user, `tester`.

    Args:
        binaries: folder of its programs.
        folder: of its data.
        user: as whom it runs; None is the user of the tests.
    """

    driver: str
    """The module that speaks to it."""
    users: tuple[str, ...]
    """As one of whom it runs, where the tests run as root."""

    def __init__(self, binaries: Path, folder: Path, user: str | None) -> None:
        self.binaries, self.folder, self.user = binaries, folder, user
        self.port = free_port()

    @staticmethod
    @abstractmethod
    def find() -> Path | None:
        """The folder of its programs; None where it is not installed."""

    @abstractmethod
    def initialize(self) -> None: ...

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self, mode: str = "fast") -> None:
        """Stops it, orderly (`fast`) or as in a crash (`immediate`)."""

    @abstractmethod
    def is_running(self) -> bool: ...

    @abstractmethod
    def sql(self, command: str) -> list[tuple]: ...

    @abstractmethod
    def url(self, database: str) -> str: ...

    @abstractmethod
    def cut(self, database: str) -> int:
        """Cuts all connections to a database; returns how many."""

    def create(self, database: str) -> None:
        self.sql(f"CREATE DATABASE {database}")

    @abstractmethod
    def drop(self, database: str) -> None: ...

    def environment(self) -> dict[str, str]:
        return {"PATH": f"{self.binaries}:/usr/bin:/bin", "LC_ALL": "C"}

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
                env=self.environment(),
            )
        text = output.read_text()
        assert done.returncode == 0, text
        return text


class PostgreSQL(Server):
    driver, users = "psycopg", ("postgres", "nobody")

    @staticmethod
    def find() -> Path | None:
        on_path = shutil.which("pg_ctl")
        if on_path and shutil.which("initdb"):
            return Path(on_path).parent
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        return found[-1].parent if found else None

    def initialize(self) -> None:
        (self.folder / "password").write_text(PASSWORD)
        (self.folder / "password").chmod(0o644)
        self.run(
            *("initdb", "-D", str(self.folder / "data"), "-U", "tester", "-E", "UTF8"),
            *("--locale=C", "-A", "scram-sha-256", f"--pwfile={self.folder / 'password'}"),
            "--no-sync",
        )

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

    def sql(self, command: str) -> list[tuple]:
        import psycopg

        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(command)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str) -> str:
        return f"postgresql://tester:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def cut(self, database: str) -> int:
        return len(
            self.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                f"WHERE datname = '{database}'"
            )
        )

    def drop(self, database: str) -> None:
        self.sql(f"DROP DATABASE {database} WITH (FORCE)")


class MariaDB(Server):
    """Speaks MySQL's protocol, and is what Debian has of it."""

    driver, users = "pymysql", ("mysql", "nobody")
    _process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def find() -> Path | None:
        server = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
        return Path(server).parent if server and shutil.which("mariadb-install-db") else None

    def initialize(self) -> None:
        (self.folder / "init.sql").write_text(
            f"GRANT ALL ON *.* TO tester@127.0.0.1 IDENTIFIED BY '{PASSWORD}';\n"
        )
        (self.folder / "init.sql").chmod(0o644)
        installer = shutil.which("mariadb-install-db")
        assert installer is not None
        self.run(
            *(installer, "--no-defaults", f"--datadir={self.folder / 'data'}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )

    def start(self) -> None:
        import pymysql

        self._process = subprocess.Popen(
            [
                *(str(self.binaries / "mariadbd"), "--no-defaults", f"--port={self.port}"),
                *("--bind-address=127.0.0.1", f"--datadir={self.folder / 'data'}"),
                *(f"--socket={self.folder / 'socket'}", f"--pid-file={self.folder / 'pid'}"),
                *(f"--log-error={self.folder / 'log'}", "--innodb-flush-log-at-trx-commit=2"),
                *("--skip-name-resolve", f"--init-file={self.folder / 'init.sql'}"),
            ],
            user=self.user,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline, why = time.monotonic() + 60, Exception("it has ended")
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.sql("SELECT 1")
            except pymysql.err.OperationalError as error:
                why = error
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"it does not answer: {why}; see {self.folder / 'log'}")

    def stop(self, mode: str = "fast") -> None:
        assert self._process is not None
        if mode == "fast":
            self._process.terminate()
        else:
            self._process.kill()
        self._process.wait(60)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def sql(self, command: str) -> list[tuple]:
        import pymysql

        connection = pymysql.connect(
            host="127.0.0.1", port=self.port, user="tester", password=PASSWORD, autocommit=True
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(command)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def url(self, database: str) -> str:
        return f"mysql://tester:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def cut(self, database: str) -> int:
        import pymysql

        query = f"SELECT id FROM information_schema.processlist WHERE db = '{database}'"
        found = self.sql(query)
        for (number,) in found:
            with suppress(pymysql.err.OperationalError):  # gone by itself
                self.sql(f"KILL CONNECTION {number}")
        return len(found)

    def drop(self, database: str) -> None:
        self.cut(database)
        self.sql(f"DROP DATABASE {database}")


@contextmanager
def running(kind: type[Server]) -> Iterator[Server]:
    """A server with a data folder of its own; skips where it or its driver is not installed."""
    pytest.importorskip(kind.driver, reason=f"the driver {kind.driver} is not installed")
    if sys.platform == "win32":
        pytest.skip("the server is started as Unix does")
    binaries = kind.find()
    if binaries is None:
        pytest.skip(f"no server is installed: {kind.__name__}")
    user = _user(kind)
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory(prefix="sweeprl-database-", dir="/tmp") as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        server = kind(binaries, folder, user)
        server.initialize()
        try:
            server.start()
            yield server
        finally:
            if server.is_running():
                server.stop("immediate")


def _user(kind: type[Server]) -> str | None:
    """Neither server likes to run as root."""
    import pwd  # which Windows does not have

    if os.getuid() != 0:
        return None
    for name in kind.users:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    pytest.skip(f"{kind.__name__} does not run as root, and there is no user of {kind.users}")
