"""Committed changes as they happen, through the streaming replication protocol.

Each stream has a temporary replication slot: nothing is left behind, and what is committed while no stream
is connected is lost, as it is with the real server.
"""

import asyncio
import itertools
import logging
import struct
import time
import uuid
from collections.abc import Iterator
from typing import TypeVar

from psycopg import AsyncConnection, Error, OperationalError, generators, sql, waiting
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus

from localbase.realtime.pgoutput import Change, Decoder

# Postgres passes over a publication that does not exist (yet); older versions than 18 end the stream instead.
PUBLICATIONS = ("supabase_realtime", "supabase_realtime_messages_publication")

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
# How values are written is a property of the session; `values` reads exactly this notation.
_SETTINGS = (
    "-c datestyle=ISO -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=1 -c bytea_output=hex"
)
_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 2.0
_BACKLOG = 1000
_BATCH = 500
_POLL_S = 60.0
_NUDGE_S = 0.1
_UNIX_TIME_OF_EPOCH = 946_684_800
_DATA_HEADER = 25
_REPLY_REQUESTED = 17


class Replication:
    """Keeps a stream open for as long as it runs, through any number of restarts of the database."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        # Bounded: the server's sender waits when nobody takes the changes.
        self._backlog: asyncio.Queue[Change] = asyncio.Queue(_BACKLOG)
        self._streaming = asyncio.Event()

    async def run(self) -> None:
        delays = _delays()
        while True:
            try:
                await self._follow()
            except (Error, OSError) as error:
                delays = _delays() if self._streaming.is_set() else delays
                self._streaming.clear()
                delay = next(delays)
                _LOG.warning("replication interrupted, next attempt in %.1f s: %s", delay, error)
                await asyncio.sleep(delay)

    async def streaming(self) -> None:
        """Wait until whatever is committed from now on will come."""
        await self._streaming.wait()

    async def take(self) -> list[Change]:
        """The next changes, in the order of their commits; as many as there are, within reason."""
        changes = [await self._backlog.get()]
        while self._backlog.qsize() and len(changes) < _BATCH:
            changes.append(self._backlog.get_nowait())
        return changes

    async def _follow(self) -> None:
        connection = await _connect(self._dsn)
        # No `async with`, which would try to end a transaction on a connection that only streams.
        try:
            await self._pass_on(_Stream(connection))
        finally:
            await connection.close()

    async def _pass_on(self, stream: "_Stream") -> None:
        decoder = Decoder()
        await stream.start()
        self._streaming.set()
        while True:
            change = decoder.decode(await stream.receive())
            if change:
                await self._backlog.put(change)


class _Stream:
    """One replication connection in copy mode."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._received = 0

    async def start(self) -> None:
        # Several servers may follow databases of one cluster, and slots are the cluster's.
        slot = sql.Identifier(f"localbase_realtime_{uuid.uuid4().hex}")
        create = sql.SQL("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT")
        await self._connection.execute(create.format(slot))
        names = ",".join(f'"{name}"' for name in PUBLICATIONS)
        begin = sql.SQL("START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {})")
        self._connection.pgconn.send_query(begin.format(slot, names).as_bytes(self._connection))
        result = (await self._wait(generators.execute(self._connection.pgconn)))[0]
        if result.status != ExecStatus.COPY_BOTH:
            raise OperationalError(result.error_message.decode(errors="replace"))

    async def receive(self) -> bytes:
        """The next message of the output plugin."""
        while True:
            try:
                async with asyncio.timeout(_NUDGE_S):
                    data = await self._wait(generators.copy_from(self._connection.pgconn))
            except TimeoutError:
                # Postgres's sender can miss that something was flushed, and sleep with it in hand until the
                # next write; any message wakes it.
                await self._confirm()
                continue
            if not isinstance(data, memoryview):
                raise OperationalError("the server ended the stream")
            frame = bytes(data)
            end, _ = struct.unpack_from("!qq", frame, 9 if frame[:1] == b"w" else 1)
            self._received = max(self._received, end)
            if frame[:1] == b"w":
                return frame[_DATA_HEADER:]
            if frame[_REPLY_REQUESTED]:
                await self._confirm()

    async def _confirm(self) -> None:
        now = int((time.time() - _UNIX_TIME_OF_EPOCH) * 1_000_000)
        status = struct.pack("!cqqqqB", b"r", self._received, self._received, self._received, now, 0)
        await self._wait(generators.copy_to(self._connection.pgconn, status))

    async def _wait(self, steps: PQGen[T]) -> T:
        return await waiting.wait_async(steps, self._connection.pgconn.socket, _POLL_S)


async def _connect(dsn: str) -> AsyncConnection:
    return await AsyncConnection.connect(dsn, autocommit=True, replication="database", options=_SETTINGS)


def _delays() -> Iterator[float]:
    return (min(_FIRST_DELAY_S * 2**attempt, _MAX_DELAY_S) for attempt in itertools.count())
