"""Clients of a local stack: the official one for what it can do, a bare WebSocket for the rest."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, ClientWSTimeout, web
from supabase import AsyncClient, acreate_client

from localbase.keys import Keys
from localbase.pytest_plugin import LocalStack
from localbase.realtime import RealtimeServer
from localbase.tokens import sign

DEADLINE_S = 15
BROADCAST = "/realtime/v1/api/broadcast"

_SCHEMA = """
create table public.notes (id int primary key, owner text, body text);
alter table public.notes enable row level security;
create policy "Owners read their notes" on public.notes for select to authenticated
    using (owner = auth.uid()::text or owner = 'everybody');
grant select on public.notes to authenticated, service_role;
alter publication supabase_realtime add table public.notes;
"""


class Listener:
    """A channel of the official client that listens to the table."""

    def __init__(self, client: AsyncClient, table: str = "notes", **options: Any) -> None:
        self.system: asyncio.Queue[str] = asyncio.Queue()
        self._changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.channel = client.channel(f"{table}-{id(self)}")
        self.channel.on_system(lambda payload: self.system.put_nowait(payload.message))
        self.channel.on_postgres_changes(
            "*",
            lambda payload: self._changes.put_nowait(payload["data"]),
            schema="public",
            table=table,
            **options,
        )

    async def subscribe(self) -> None:
        await self.channel.subscribe()
        async with asyncio.timeout(DEADLINE_S):
            assert await self.system.get() == "Subscribed to PostgreSQL"

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_S):
            return await self._changes.get()


@pytest.fixture
async def database(localbase: LocalStack) -> AsyncIterator[psycopg.AsyncConnection]:
    connection = await psycopg.AsyncConnection.connect(localbase.admin_db_url, autocommit=True)
    async with connection:
        await connection.execute(_SCHEMA)
        yield connection


@pytest.fixture
def token(localbase: LocalStack) -> Callable[..., str]:
    """Mints the token of a signed-in user."""

    def mint(sub: str | None = None, expires: float = 600, **claims: Any) -> str:
        content = {"role": "authenticated", "sub": sub, "exp": time.time() + expires}
        return sign(content | claims, localbase.jwt_secret)

    return mint


@pytest.fixture
async def listen(localbase: LocalStack) -> AsyncIterator[Callable[..., Awaitable[Listener]]]:
    """Subscribes to the table: with the service key, or as the user of a token."""
    async with AsyncExitStack() as clients:

        async def start(access_token: str | None = None, **options: Any) -> Listener:
            client = await acreate_client(localbase.api_url, localbase.service_role_key)
            clients.push_async_callback(client.realtime.close)
            if access_token:
                await client.realtime.set_auth(access_token)
            listener = Listener(client, **options)
            await listener.subscribe()
            return listener

        yield start


class Wire:
    """A WebSocket with framing 2.0.0."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, *frame: Any) -> None:
        await self.socket.send_json(frame)

    async def receive(self) -> tuple[str, Any]:
        """Event and payload of the next frame."""
        frame = await self.socket.receive_json(timeout=DEADLINE_S)
        return frame[3], frame[4]

    async def join(self, topic: str, config: Any = None, **payload: Any) -> tuple[str, Any]:
        await self.send("1", "1", topic, "phx_join", {"config": config or {}} | payload)
        return await self.receive()


@pytest.fixture
async def open_wire(localbase: LocalStack) -> AsyncIterator[Callable[..., Awaitable[Wire]]]:
    async with ClientSession() as session, AsyncExitStack() as sockets:

        async def connect(apikey: str = localbase.anon_key, base: str = localbase.api_url) -> Wire:
            query = {"apikey": apikey, "vsn": "2.0.0"}
            url = f"{base}/realtime/v1/websocket"
            wait = ClientWSTimeout(ws_close=0.5)
            socket = await session.ws_connect(url, params=query, max_msg_size=0, timeout=wait)
            sockets.push_async_callback(socket.close)
            return Wire(socket)

        yield connect


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Runs a server of the test's own for the database of a DSN; gives its address."""
    async with AsyncExitStack() as running:

        async def start(dsn: str) -> str:
            server = RealtimeServer(dsn, Keys.local())
            await server.start()
            running.push_async_callback(server.stop)
            runner = web.AppRunner(_application(server))
            await runner.setup()
            running.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

        yield start


def _application(server: RealtimeServer) -> web.Application:
    application = web.Application()
    application.router.add_get("/realtime/v1/websocket", server.handle)
    application.router.add_post(BROADCAST, server.handle_broadcast)
    application.router.add_post(f"{BROADCAST}/{{topic}}/events/{{event}}", server.handle_broadcast)
    return application
