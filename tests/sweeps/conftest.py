from __future__ import annotations

import sys

import pytest

from .servers import MariaDB, PostgreSQL, running


@pytest.fixture(scope="session")
def postgres_server():
    pytest.importorskip("psycopg", reason="the PostgreSQL driver psycopg is not installed")
    if sys.platform == "win32":
        pytest.skip("the server is started as Unix does")
    with running(PostgreSQL, ("postgres", "nobody")) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server():
    pytest.importorskip("pymysql", reason="the MySQL driver pymysql is not installed")
    if sys.platform == "win32":
        pytest.skip("the server is started as Unix does")
    with running(MariaDB, ("mysql", "nobody")) as server:
        yield server


_numbers = iter(range(10_000))


def _database(server):
    """The URL of an empty database on a running server."""
    if not server.is_running():
        server.start()
    name = f"sweep{next(_numbers)}"
    server.create(name)
    yield server.url(name)
    if not server.is_running():
        server.start()
    server.drop(name)


@pytest.fixture
def postgres(postgres_server):
    yield from _database(postgres_server)


@pytest.fixture
def mariadb(mariadb_server):
    yield from _database(mariadb_server)


@pytest.fixture(params=["postgres", "mariadb"])
def database(request):
    """The URL of an empty database of each server; `server` is the server."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def server(request, database):
    kind = "mariadb" if database.startswith("mysql") else "postgres"
    return request.getfixturevalue(f"{kind}_server")
