"""The migrations on the Postgres of localbase, and on Debian's where it is installed."""

from collections.abc import Iterator

import pytest

from database.servers import DEBIAN, PACKAGES, Database, Server, serving


@pytest.fixture(scope="session")
def own_server() -> Iterator[Server]:
    """The Postgres that localbase brings."""
    with serving(None) as server:
        yield server


@pytest.fixture(scope="session")
def debian_server() -> Iterator[Server]:
    """Debian's Postgres 15, the oldest that is supported, for which Debian has pgTAP and plpgsql_check."""
    if not (DEBIAN / "postgres").exists():
        pytest.skip(f"Postgres 15 is not installed: {PACKAGES}")
    with serving(DEBIAN) as server:
        yield server


@pytest.fixture(scope="session", params=["own", "debian"])
def server(request: pytest.FixtureRequest) -> Server:
    """A server of each version."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture
def empty(server: Server) -> Iterator[Database]:
    """A database without migrations, of each version."""
    with server.empty() as database:
        yield database


@pytest.fixture
def migrated(server: Server) -> Iterator[Database]:
    """A database with the migrations, of each version."""
    with server.migrated() as database:
        yield database
