"""A stack with a small schema, applied as the role postgres, and keys of either kind to it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from conformance.clients.access import Access
from localbase.pytest_plugin import LocalStack
from localbase.testing import Cluster
from support import eventually

_SCHEMA = Path(__file__).with_name("schema.sql")


@pytest.fixture(scope="session")
def notes_stack(localbase_cluster: Cluster) -> Iterator[LocalStack]:
    """For all tests: each signs up users of its own, and sees the rows of no others."""
    with localbase_cluster.stack() as stack:
        with psycopg.connect(stack.db_url, autocommit=True) as connection:
            connection.execute(_SCHEMA.read_bytes())
        yield stack


@pytest.fixture(params=["anon_key", "publishable_key"])
async def access(request: pytest.FixtureRequest, notes_stack: LocalStack) -> Access:
    """Once with the JSON Web Token of older projects, once with the opaque key of newer ones."""
    found = Access(notes_stack.api_url, getattr(notes_stack, request.param))
    await eventually(lambda: _assert_served(found))
    return found


async def _assert_served(access: Access) -> None:
    """The schema is noticed a moment after it is made."""
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{access.url}/rest/v1/notes", headers={"apikey": access.key})
    # Known, and closed to whoever has not signed in.
    assert answer.json()["code"] == "42501"
