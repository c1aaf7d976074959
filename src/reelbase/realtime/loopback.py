"""A message to ourselves through Realtime: the only proof that it carries any."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from reelbase.errors import ConnectionFailed
from reelbase.realtime.channel import Channel, RealtimeEndpoint, first, join

if TYPE_CHECKING:
    from realtime import AsyncRealtimeClient
    from realtime.types import RealtimeChannelOptions

REALTIME_REMEDY = (
    "Check that Realtime runs and that the project allows public channels; watching polls meanwhile."
)
_EVENT = "loop-back"
_CLOSING_SECONDS = 1.0


async def loop_back(endpoint: RealtimeEndpoint) -> float:
    """Milliseconds from sending a message to its arrival, on a channel of our own.

    The channel subscribes to the event log too, so this fails where the log is not published. Raises
    ConnectionFailed.
    """
    # Here and not above, as in channel.py: most programs watch nothing.
    from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent  # noqa: PLC0415

    client = AsyncRealtimeClient(endpoint.url, endpoint.key, auto_reconnect=False, max_retries=1)
    topic = client.channel(f"health:{uuid4()}", _options())
    channel = Channel(lambda _: None)
    arrived = asyncio.Event()
    topic.on_broadcast(_EVENT, lambda _: arrived.set())
    topic.on_postgres_changes(
        RealtimePostgresChangesListenEvent.Insert,
        channel.on_change,
        table="job_events",
        schema="public",
        # Of no job: the subscription is what is tested, no row is wanted.
        filter=f"job_id=eq.{uuid4()}",
    )
    topic.on_system(channel.on_system)
    try:
        await join(client, topic, channel, endpoint)
        began = time.perf_counter()
        await topic.send_broadcast(_EVENT, {})
        await first(arrived.wait(), channel.ended)
        return round((time.perf_counter() - began) * 1000, 3)
    except ConnectionFailed as error:
        raise _explained(error) from error
    finally:
        await _close(client)


def _explained(error: ConnectionFailed) -> ConnectionFailed:
    """The server's words on a table that is not published are a dump of the subscription."""
    if "Unable to subscribe to changes" in error.message:
        return ConnectionFailed(
            "Realtime does not follow the event log.",
            hint="As the owner: alter publication supabase_realtime add table public.job_events;",
        )
    return ConnectionFailed(error.message, hint=error.hint or REALTIME_REMEDY)


def _options() -> "RealtimeChannelOptions":
    broadcast = {"ack": False, "self": True}
    config: Any = {"broadcast": broadcast, "presence": {"key": "", "enabled": False}, "private": False}
    return {"config": config}


async def _close(client: "AsyncRealtimeClient") -> None:
    """Say good-bye, but not for long to a server that does not answer."""
    socket: Any = client._ws_connection  # noqa: SLF001  # closing waits for an answer, aborting does not
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await client.close()
    finally:
        if socket is not None and socket.transport is not None:
            socket.transport.abort()
