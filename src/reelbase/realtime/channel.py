"""The adapter to the `realtime` package: one socket with one channel, for as long as it lives.

The package reconnects five times and then falls silent, ignores heartbeat replies and closes channels
without a word on the socket. So nothing of its recovery is used: any trouble ends a session, and whoever
runs sessions begins a new one (`realtime/live.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reelbase.errors import ConnectionFailed
from reelbase.models import JobEvent, read_event

if TYPE_CHECKING:
    from realtime import AsyncRealtimeClient, RealtimeSubscribeStates


# Should a provider's tokens live shorter than that, the server is told of each only so often.
_SHORTEST_RENEWAL = 0.5


@dataclass(frozen=True, slots=True)
class RealtimeEndpoint:
    """Where Realtime is and who asks. Keys do not show in the repr."""

    url: str
    key: str = field(repr=False)
    token: Callable[[], Awaitable[str]] | None = field(default=None, repr=False)
    """Tells a token that is valid for a while; the key speaks where there is none."""
    due_in: Callable[[], float | None] = field(default=lambda: None, repr=False)
    """In how many seconds the token should be renewed; None if never."""
    join_timeout: float = 10.0

    async def fresh_token(self) -> str:
        return self.key if self.token is None else await self.token()


class ChannelEnded(ConnectionFailed):
    """The channel or its socket is gone."""


class Channel:
    """A joined channel. `ended` is done when it is gone, with the reason as its exception."""

    def __init__(self, deliver: Callable[[JobEvent], None]) -> None:
        self._deliver = deliver
        self.confirmed = asyncio.Event()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_state(self, state: "RealtimeSubscribeStates", error: Exception | None) -> None:
        if state.value != "SUBSCRIBED":
            self.end(f"{state.value.lower().replace('_', ' ')}{f': {error}' if error else ''}")

    def on_system(self, payload: Any) -> None:
        if payload.extension == "postgres_changes":
            self.confirmed.set()

    def on_change(self, payload: Any) -> None:
        try:
            self._deliver(read_event(payload["data"]["record"]))
        except (ValueError, KeyError, TypeError):
            # A row that is cut short or not ours: what it tells stands in the log.
            self.end("a row that cannot be read")

    def end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(ChannelEnded(f"The live connection ended ({reason})."))
            self.ended.exception()  # looked at, so that an end nobody waits for is no warning


@asynccontextmanager
async def joined(
    endpoint: RealtimeEndpoint, filter_: str, deliver: Callable[[JobEvent], None]
) -> AsyncIterator[Channel]:
    """Join the inserts into job_events that match the filter. Raises ConnectionFailed when that fails.

    Yields once the server has confirmed the subscription.
    """
    # Here and not above: it takes a tenth of a second, and most programs watch nothing.
    from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent  # noqa: PLC0415

    client = AsyncRealtimeClient(endpoint.url, endpoint.key, auto_reconnect=False, max_retries=1)
    channel = Channel(deliver)
    topic = client.channel(f"job_events:{filter_}")
    topic.on_postgres_changes(
        RealtimePostgresChangesListenEvent.Insert,
        channel.on_change,
        table="job_events",
        schema="public",
        filter=filter_,
    )
    topic.on_system(channel.on_system)
    renewal = None
    try:
        await join(client, topic, channel, endpoint)
        renewal = asyncio.create_task(_renew(client, channel, endpoint), name="reelbase-token")
        yield channel
    finally:
        if renewal is not None:
            renewal.cancel()
            await asyncio.wait({renewal})
        await client.close()


async def _renew(client: "AsyncRealtimeClient", channel: Channel, endpoint: RealtimeEndpoint) -> None:
    """Send fresh tokens while the channel lives: with an expired one the server closes it."""
    try:
        while (seconds := endpoint.due_in()) is not None:
            await asyncio.sleep(max(seconds, _SHORTEST_RENEWAL))
            await client.set_auth(await endpoint.fresh_token())
    except Exception as error:  # noqa: BLE001  # whatever it is, the next session begins with a new token
        channel.end(f"its token could not be renewed: {error}")


async def join(
    client: "AsyncRealtimeClient", topic: Any, channel: Channel, endpoint: RealtimeEndpoint
) -> None:
    """Connect, join and wait until the server has confirmed it. Raises ConnectionFailed."""
    try:
        async with asyncio.timeout(endpoint.join_timeout):
            client.access_token = await endpoint.fresh_token()
            await client.connect()
            _watch_reader(client, channel)
            await topic.subscribe(channel.on_state)
            await first(channel.confirmed.wait(), channel.ended)
    except ConnectionFailed:
        raise
    except Exception as error:
        # The package passes on what websockets raises, and raises bare exceptions of its own.
        reason = str(error) or "no answer in time"
        raise ConnectionFailed(f"Realtime cannot be reached ({reason}).") from error


def _watch_reader(client: "AsyncRealtimeClient", channel: Channel) -> None:
    """The task that reads the socket can die of an error of its own, and then nobody is told."""
    reader = client._listen_task  # noqa: SLF001  # there is no other way to learn of its end
    if reader is not None:
        reader.add_done_callback(lambda _: channel.end("the socket is read no more"))


async def first(wanted: Any, ended: asyncio.Future[None]) -> None:
    """Wait for what is wanted, unless the end comes first; then raise its reason."""
    task = asyncio.ensure_future(wanted)
    try:
        await asyncio.wait({task, ended}, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            ended.result()
    finally:
        task.cancel()
