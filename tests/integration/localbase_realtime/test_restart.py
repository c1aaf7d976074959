"""A database that goes away and comes back."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from localbase.database import bootstrap
from localbase.keys import Keys
from localbase.ports import claim_port
from localbase.postgres import PostgresServer
from localbase.stack import StackOptions, running_server


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server on a port that stays the same."""
    options = StackOptions(workdir=tmp_path, db_port=claim_port(0), ephemeral=True)
    with running_server(options) as server:
        bootstrap(server.port)
        yield server


@pytest.mark.local_stack
async def test_sockets_and_channels_survive(
    postgres: PostgresServer,
    serve: Callable[[str], Awaitable[str]],
    open_wire: Callable[..., Awaitable[Any]],
) -> None:
    dsn = postgres.database().dsn()
    with psycopg.connect(dsn) as connection:
        connection.execute("create table notes (id int primary key)")
        connection.execute("grant select on notes to service_role")
        connection.execute("alter publication supabase_realtime add table notes")
    wire = await open_wire(Keys.local().service_role_key, await serve(dsn))
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
