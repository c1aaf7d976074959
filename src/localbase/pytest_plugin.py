"""Fixtures that give a test a local stack of its own.

`localbase` is a fresh database, cloned from one that has the project's migrations, behind its own gateway;
`localbase_shared` is one for the whole session. Loaded by pytest in every run, this module imports nothing
heavy until a fixture is used.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from localbase.testing import Cluster

_INI = "localbase_workdir"
_VARIABLE = "LOCALBASE_WORKDIR"


@dataclass(frozen=True, slots=True)
class LocalStack:
    """Where a test's stack is and how to get in."""

    api_url: str
    # As the role postgres, which owns the database.
    db_url: str = field(repr=False)
    # As the superuser.
    admin_db_url: str = field(repr=False)
    anon_key: str = field(repr=False)
    service_role_key: str = field(repr=False)
    publishable_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    jwt_secret: str = field(repr=False)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(_INI, f"The directory that holds supabase/ (else ${_VARIABLE}, else the root).")


@pytest.fixture(scope="session")
def localbase_cluster(request: pytest.FixtureRequest) -> Iterator["Cluster"]:
    """One server with a migrated template database, for the whole session."""
    from localbase.testing import running_cluster  # noqa: PLC0415  heavy, and rarely needed

    with running_cluster(_workdir(request.config)) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def localbase_shared(localbase_cluster: "Cluster") -> Iterator[LocalStack]:
    """A stack for tests that leave nothing behind that others could mind."""
    with localbase_cluster.stack() as stack:
        yield stack


@pytest.fixture
def localbase(localbase_cluster: "Cluster") -> Iterator[LocalStack]:
    """A stack for this test alone."""
    with localbase_cluster.stack() as stack:
        yield stack


def _workdir(config: pytest.Config) -> Path:
    chosen = config.getini(_INI) or os.environ.get(_VARIABLE)
    return config.rootpath / chosen if chosen else config.rootpath
