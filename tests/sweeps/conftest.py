from __future__ import annotations

import pytest

from .servers import MariaDB, PostgreSQL, running


@pytest.fixture(scope="session")
def postgres_server():
    with running(PostgreSQL) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_server():
    with running(MariaDB) as server:
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
