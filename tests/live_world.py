"""What tests of the live connection share: listeners, clocks, a Realtime that misbehaves, and raw frames."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import aiohttp
from aiohttp import web

from proxy import serving
from reelbase.models import JobEvent
from reelbase.realtime.clock import Clock
from reelbase.realtime.endpoint import LivePath, RealtimeEndpoint, Timing
from reelbase.realtime.feeds import Feeds
from reelbase.realtime.hub import Hub
from reelbase.realtime.source import Source
from reelbase.realtime.stream import AsyncEventStream, Carry
from support import Target

Frame = dict[str, Any]

QUICK = Timing(
    connect=5.0,
    join=2.0,
    first_retry=0.01,
    longest_retry=0.05,
    longest_rejoin=0.05,
    heartbeat=5.0,
    silence=5.0,
)
"""As patient as by default with a slow server, and quick to try again."""


class Notes:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.ups = 0
        self.downs: list[str] = []
        self.rows: list[JobEvent | None] = []

    def up(self) -> None:
        self.ups += 1

    def down(self, reason: str) -> None:
        self.downs.append(reason)

    def row(self, event: JobEvent | None) -> None:
        self.rows.append(event)

    def has_come_up(self, times: int = 1) -> None:
        assert self.ups >= times, self.downs

    def has_seqs(self, *seqs: int) -> None:
        assert [event and event.seq for event in self.rows] == list(seqs)


class LeapingClock(Clock):
    """A clock that a test can put forward, by years if it likes; one that stands goes no other way."""

    __slots__ = ("_ahead", "_began")

    def __init__(self, *, stands: bool = False) -> None:
        super().__init__()
        # Clocks are frozen.
        object.__setattr__(self, "_ahead", [0.0])
        object.__setattr__(self, "_began", time.monotonic() if stands else None)

    def now(self) -> float:
        return (self._began or time.monotonic()) + self._ahead[0]

    def leap(self, seconds: float) -> None:
        self._ahead[0] += seconds

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        while not event.is_set() and (until is None or self.now() < until):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.005):
                    await event.wait()


@asynccontextmanager
async def listening(url: str, key: str, *, clock: Clock | None = None, **endpoint: Any) -> AsyncIterator[Hub]:
    """A hub, quick unless told otherwise."""
    hub = Hub(RealtimeEndpoint(f"{url}/realtime/v1", key, **{"timing": QUICK, **endpoint}), clock or Clock())
    try:
        yield hub
    finally:
        await hub.close()


@asynccontextmanager
async def feeding(
    carry: Carry,
    url: str,
    key: str,
    *,
    live: LivePath = "postgres_changes",
    clock: Clock | None = None,
    **endpoint: Any,
) -> AsyncIterator[Feeds]:
    """Streams that read the log one way, and go live another, or by another clock."""
    where = RealtimeEndpoint(f"{url}/realtime/v1", key, **{"timing": QUICK, **endpoint})
    feeds = Feeds(where, carry, live, clock=clock)
    try:
        yield feeds
    finally:
        await feeds.close()


class Reader:
    """Takes all events of a stream in the background."""

    def __init__(self, stream: AsyncEventStream) -> None:
        self.stream = stream
        self.events: list[JobEvent] = []
        self.states: list[str] = []
        stream.on_connection_state(lambda state: self.states.append(state.phase))
        self.task = asyncio.create_task(self._take())

    async def _take(self) -> None:
        async for event in self.stream:
            self.events.append(event)

    def is_in(self, phase: str) -> None:
        assert self.stream.connection_state.phase == phase, self.stream.connection_state

    def has_all_of(self, log: list[JobEvent]) -> None:
        assert self.events == log


@asynccontextmanager
async def reading(stream: AsyncEventStream) -> AsyncIterator[Reader]:
    reader = Reader(stream)
    try:
        yield reader
    finally:
        await stream.aclose()
        await reader.task


# A Realtime that misbehaves ----------------------------------------------------------------------


@dataclass
class Realtime:
    """A server of our own, which speaks as the recorded sessions in tests/conformance/realtime do.

    `on_join` answers joins, by default as it should. Its first `deaf` sockets answer nothing.
    """

    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    """All there ever were; the last one is the present one."""
    frames: list[Frame] = field(default_factory=list)
    url: str = ""
    deaf: int = 0
    on_join: "Callable[[Realtime, Frame], Any] | None" = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            await self._take(socket, json.loads(message.data))
        return socket

    async def _take(self, socket: web.WebSocketResponse, frame: Frame) -> None:
        self.frames.append(frame)
        if self.sockets.index(socket) < self.deaf:
            return
        if frame["event"] == "phx_join":
            await (self.on_join or Realtime.accept)(self, frame)
        elif frame["event"] in {"heartbeat", "phx_leave"}:
            await self.reply(frame)

    @property
    def joins(self) -> list[Frame]:
        return [frame for frame in self.frames if frame["event"] == "phx_join"]

    def has_joins(self, number: int) -> None:
        assert len(self.joins) >= number

    def has_sockets(self, number: int) -> None:
        assert len(self.sockets) >= number

    async def accept(self, join: Frame) -> None:
        await self.reply(join)
        if join["payload"]["config"]["postgres_changes"]:
            await self.system(join, "ok", "Subscribed to PostgreSQL")

    async def say(self, topic: str, event: str, payload: Any, ref: Any = None) -> None:
        frame = {"topic": topic, "event": event, "payload": payload, "ref": ref}
        with suppress(ConnectionError):
            await self.sockets[-1].send_json(frame)

    async def reply(self, to: Frame, status: str = "ok", **response: Any) -> None:
        config = to["payload"].get("config", {})
        bindings = [{"id": n, **change} for n, change in enumerate(config.get("postgres_changes", []))]
        answer = response or ({"postgres_changes": bindings} if config else {})
        await self.say(to["topic"], "phx_reply", {"status": status, "response": answer}, to["ref"])

    async def system(self, join: Frame, status: str, message: str) -> None:
        channel = join["topic"].removeprefix("realtime:")
        payload = {"message": message, "status": status, "extension": "postgres_changes", "channel": channel}
        await self.say(join["topic"], "system", payload)

    async def close(self, join: Frame) -> None:
        await self.say(join["topic"], "phx_close", {}, join["ref"])

    async def row(self, join: Frame, record: Frame) -> None:
        """A change on the channel, in the form that its join asked for."""
        if join["payload"]["config"]["postgres_changes"]:
            data = {
                "table": "job_events",
                "type": "INSERT",
                "schema": "public",
                "columns": [],
                "errors": None,
            }
            data |= {"record": record, "commit_timestamp": "2026-01-01T00:00:00Z"}
            await self.say(join["topic"], "postgres_changes", {"data": data, "ids": [0]})
        else:
            payload = {"type": "broadcast", "event": record["type"], "payload": record}
            await self.say(join["topic"], "broadcast", payload)


@asynccontextmanager
async def misbehaving(on_join: Callable[[Realtime, Frame], Any] | None = None) -> AsyncIterator[Realtime]:
    realtime = Realtime(on_join=on_join)
    async with serving(realtime.serve) as realtime.url:
        yield realtime


def record(seq: int, job_id: UUID | None = None) -> Frame:
    """A row of job_events, as it arrives."""
    return {
        "id": seq,
        "xid": seq,
        "job_id": str(job_id or uuid4()),
        "user_id": None,
        "seq": seq,
        "type": "job.progress",
        "status": "processing",
        "is_terminal": False,
        "progress_percentage": seq,
        "current_step": None,
        "data": {},
        "created_at": "2026-01-01T00:00:00Z",
    }


# Raw frames ---------------------------------------------------------------------------------------


class Wire:
    """A socket without a client: what the server lets through is seen as it is."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.frames: list[Frame] = []
        self._refs = 0
        self._task = asyncio.create_task(self._receive())

    async def _receive(self) -> None:
        async for message in self._socket:
            self.frames.append(json.loads(message.data))

    async def send(self, topic: str, event: str, payload: Any) -> str:
        self._refs += 1
        ref = str(self._refs)
        frame = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": ref}
        await self._socket.send_json(frame)
        return ref

    async def join(self, source: Source, token: str, number: int = 0) -> str:
        """Join as a client of ours would; the topic."""
        topic = source.channel(number)
        await self.send(topic, "phx_join", {"config": source.config(), "access_token": token})
        return topic

    def answer(self, topic: str, event: str = "phx_reply") -> Frame:
        """What the server has said about a topic."""
        found = [f["payload"] for f in self.frames if f["topic"] == topic and f["event"] == event]
        assert found, f"nothing about {topic} yet"
        return found[0]

    def seqs(self, topic: str, job_id: UUID) -> set[int]:
        """Of the events of a job that came on a topic."""
        bodies = [frame["payload"] for frame in self.frames if frame["topic"] == topic]
        rows = [body.get("data", {}).get("record") or body.get("payload") for body in bodies]
        return {row["seq"] for row in rows if row and row.get("job_id") == str(job_id)}


@asynccontextmanager
async def wired(target: Target, key: str) -> AsyncIterator[Wire]:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{target.url}/realtime/v1/websocket", params={"apikey": key}) as socket,
    ):
        wire = Wire(socket)
        try:
            yield wire
        finally:
            wire._task.cancel()


def patient(timing: Timing = QUICK, **changes: float) -> Timing:
    return replace(timing, **changes)
