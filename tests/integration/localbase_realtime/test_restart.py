"""A database that goes away and comes back."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from aiohttp import web

from localbase.database import bootstrap
from localbase.keys import Keys
from localbase.postgres import PostgresServer
from localbase.realtime import RealtimeServer
from localbase.stack import StackOptions, running_server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server on a port that stays the same."""
    options = StackOptions(workdir=tmp_path, db_port=_free_port(), ephemeral=True)
    with running_server(options) as server:
        bootstrap(server.port)
        yield server


@pytest.fixture
async def url(postgres: PostgresServer) -> AsyncIterator[str]:
    server = RealtimeServer(postgres.database().dsn(), Keys.local())
    await server.start()
    application = web.Application()
    application.router.add_get("/realtime/v1/websocket", server.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await server.stop()
    await runner.cleanup()


@pytest.mark.local_stack
async def test_sockets_and_channels_survive(
    postgres: PostgresServer, url: str, open_wire: Callable[..., Awaitable[Any]]
) -> None:
    dsn = postgres.database().dsn()
    with psycopg.connect(dsn) as connection:
        connection.execute("create table notes (id int primary key)")
        connection.execute("grant select on notes to service_role")
        connection.execute("alter publication supabase_realtime add table notes")
    wire = await open_wire(Keys.local().service_role_key, url)
    binding = {"event": "*", "schema": "public", "table": "notes"}
    await wire.join("realtime:a", {"postgres_changes": [binding]})
    assert (await wire.receive())[1]["message"] == "Subscribed to PostgreSQL"

    await asyncio.to_thread(postgres.stop)
    await wire.send(None, "9", "phoenix", "heartbeat", {})
    assert (await wire.receive())[1]["status"] == "ok"
    await asyncio.to_thread(postgres.start)

    # A subscription is confirmed once changes flow, so from then on the first channel has them too.
    await wire.join("realtime:b", {"postgres_changes": [binding]})
    assert (await wire.receive())[1]["message"] == "Subscribed to PostgreSQL"
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into notes values (7)")
    changes = [await wire.receive() for _ in range(2)]
    assert [payload["data"]["record"] for _, payload in changes] == [{"id": 7}, {"id": 7}]
