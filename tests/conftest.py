"""The stack under test: a fresh localbase, or the one that the environment names.

SUPABASE_URL, SUPABASE_ANON_KEY, SUPABASE_SERVICE_ROLE_KEY, SUPABASE_JWT_SECRET and DATABASE_URL point the
suite at any other stack that has the migrations. Tests make what they need and look at nothing else, so
they do not mind other data; those marked `local_stack` need a stack of their own and are skipped there.
"""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from reelbase import AsyncReelbase, Job, JobStatus, Reelbase
from support import AnyClient, Target

pytest_plugins = ["worker_fixtures", "redis_fixtures"]

_VARIABLES = (
    "SUPABASE_URL",
    "SUPABASE_ANON_KEY",
    "SUPABASE_SERVICE_ROLE_KEY",
    "SUPABASE_JWT_SECRET",
    "DATABASE_URL",
)
_REMOTE = "SUPABASE_URL" in os.environ


def pytest_configure() -> None:
    # A run in the background of a shell ignores Ctrl-C, and so would every command that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not _REMOTE:
        return
    missing = [name for name in _VARIABLES if name not in os.environ]
    if missing:
        raise pytest.UsageError(f"SUPABASE_URL is set, so these must be too: {', '.join(missing)}")
    skip = pytest.mark.skip(reason="needs a stack of its own, and the environment names another")
    for item in items:
        if item.get_closest_marker("local_stack"):
            item.add_marker(skip)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    """A stack that other tests use too."""
    return _remote() if _REMOTE else _local(request.getfixturevalue("localbase_shared"))


@pytest.fixture
def own_target(request: pytest.FixtureRequest) -> Target:
    """A stack with a database of its own, where commits and listeners matter; a named one is shared."""
    return _remote() if _REMOTE else _local(request.getfixturevalue("localbase"))


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, target: Target) -> AsyncIterator[AnyClient]:
    """A backend's client, once in each mode."""
    if request.param == "async":
        async with target.service() as asynchronous:
            yield asynchronous
    else:
        with Reelbase(target.url, target.service_role_key) as synchronous:
            yield synchronous


@pytest.fixture
async def service(target: Target) -> AsyncIterator[AsyncReelbase]:
    """A backend's client."""
    async with target.service() as backend:
        yield backend


@pytest.fixture
def database(target: Target) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A direct session of the database's owner."""
    with target.connect() as connection:
        yield connection


@pytest.fixture
def in_status(service: AsyncReelbase) -> Callable[[JobStatus], Awaitable[Job]]:
    """Makes jobs in a status, by the way that leads there."""
    ways = {
        JobStatus.PENDING: [],
        JobStatus.PROCESSING: [JobStatus.PROCESSING],
        JobStatus.COMPLETED: [JobStatus.PROCESSING, JobStatus.COMPLETED],
        JobStatus.FAILED: [JobStatus.FAILED],
        JobStatus.CANCELLED: [JobStatus.CANCELLED],
        JobStatus.TIMEOUT: [JobStatus.TIMEOUT],
    }

    async def make(status: JobStatus) -> Job:
        job = await service.jobs.create("mp4", 640, 360)
        for step in ways[status]:
            job = await service.jobs.update_status(job.id, step)
        return job

    return make


def _remote() -> Target:
    return Target(*(os.environ[name] for name in _VARIABLES))


def _local(stack: Any) -> Target:
    return Target(stack.api_url, stack.anon_key, stack.service_role_key, stack.jwt_secret, stack.db_url)
