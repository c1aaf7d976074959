"""Official clients of a stack's Auth service, in both modes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from inspect import isawaitable
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
from supabase import AsyncClientOptions, ClientOptions, acreate_client, create_client

from localbase.gateway import Gateway
from localbase.keys import Keys
from localbase.postgres import DatabaseAddress
from localbase.project import AuthConfig
from localbase.pytest_plugin import LocalStack
from localbase.testing import Cluster, running_cluster

PASSWORD = "correct horse"

Connect = Callable[..., Awaitable[Any]]


class Either:
    """A client of either mode, whose calls are awaited."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        if not callable(attribute):
            return Either(attribute)

        async def call(*arguments: Any, **named: Any) -> Any:
            # A sync call would hold up the loop that a gateway of the test's own runs in.
            result = await asyncio.to_thread(attribute, *arguments, **named)
            return await result if isawaitable(result) else result

        return call


@pytest.fixture(scope="session")
def localbase_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server without any migration, so that these tests know nothing of the repository's own."""
    with running_cluster(tmp_path_factory.mktemp("empty")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def localbase_shared(localbase_cluster: Cluster) -> Iterator[LocalStack]:
    """Of that server: the plugin's own fixture is made once, for whichever server is asked for first."""
    with localbase_cluster.stack() as stack:
        yield stack


@pytest.fixture
def database(localbase: LocalStack) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A session of the role postgres, each statement a transaction."""
    with psycopg.connect(localbase.db_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def start(localbase: LocalStack) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Serves the test's database with other settings; gives the address."""
    dsn = urlsplit(localbase.admin_db_url)
    assert dsn.port
    database = DatabaseAddress(dsn.port, dsn.path.removeprefix("/"))
    async with AsyncExitStack() as running:

        async def serve(**settings: Any) -> str:
            gateway = Gateway(database, Keys.local(), auth=AuthConfig(**settings))
            await gateway.start()
            running.push_async_callback(gateway.stop)
            return gateway.url

        yield serve


@pytest.fixture(params=["sync", "async"])
async def connect(
    request: pytest.FixtureRequest,
    localbase: LocalStack,
    start: object,  # noqa: ARG001  gateways outlive the clients that way
) -> AsyncIterator[Connect]:
    """A client of supabase-py, once in each mode: with the anonymous key unless another is given."""
    async with AsyncExitStack() as sessions:

        async def open_sync(url: str, key: str) -> Either:
            http = sessions.enter_context(httpx.Client())
            options = ClientOptions(auto_refresh_token=False, httpx_client=http)
            return Either(create_client(url, key, options))

        async def open_async(url: str, key: str) -> Either:
            http = await sessions.enter_async_context(httpx.AsyncClient())
            options = AsyncClientOptions(auto_refresh_token=False, httpx_client=http)
            return Either(await acreate_client(url, key, options))

        open_client = open_sync if request.param == "sync" else open_async

        async def client(key: str = localbase.anon_key, url: str = localbase.api_url) -> Either:
            return await open_client(url, key)

        yield client


@pytest.fixture
async def auth(connect: Connect) -> Any:
    """The auth client of somebody who holds the anonymous key."""
    return (await connect()).auth


@pytest.fixture
async def admin(connect: Connect, localbase: LocalStack) -> Any:
    """The admin client of somebody who holds the service key."""
    return (await connect(localbase.service_role_key)).auth.admin


@pytest.fixture
async def http(localbase: LocalStack) -> AsyncIterator[httpx.AsyncClient]:
    """A bare client for what the official one does not show."""
    async with _bare_client(localbase) as client:
        yield client


@pytest.fixture
async def shared_http(localbase_shared: LocalStack) -> AsyncIterator[httpx.AsyncClient]:
    """A bare client of a stack in which nothing is to be changed."""
    async with _bare_client(localbase_shared) as client:
        yield client


def _bare_client(stack: LocalStack) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{stack.api_url}/auth/v1", headers={"apikey": stack.anon_key})
