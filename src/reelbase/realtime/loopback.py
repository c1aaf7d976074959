"""A message to ourselves through Realtime: the only proof that it carries any."""

import asyncio
import time
from typing import Any
from uuid import uuid4

from reelbase.errors import ConnectionFailed
from reelbase.realtime.endpoint import RealtimeEndpoint
from reelbase.realtime.link import Frame
from reelbase.realtime.socket import Socket, SocketEnded, connected
from reelbase.realtime.source import Source

REALTIME_REMEDY = (
    "Check that Realtime runs and that the project allows public channels; watching polls meanwhile."
)
_EVENT = "loop-back"


async def loop_back(endpoint: RealtimeEndpoint) -> float:
    """Milliseconds from sending a message to its arrival, on a channel of our own.

    The channel subscribes to the event log too, so this fails where the log is not published. Raises
    ConnectionFailed.
    """
    try:
        async with connected(endpoint) as socket, asyncio.timeout(endpoint.timing.join):
            return await _exchange(socket, f"realtime:health:{uuid4()}", await endpoint.fresh_token())
    except TimeoutError as error:
        raise ConnectionFailed("Realtime does not answer in time.", hint=REALTIME_REMEDY) from error
    except ConnectionFailed as error:
        raise _explained(error) from error


async def _exchange(socket: Socket, topic: str, token: str) -> float:
    await socket.send(_frame(topic, "phx_join", {"config": _config(), "access_token": token}, ref="1"))
    began = 0.0
    async for frame in socket:
        payload: Any = frame.get("payload")
        if frame.get("topic") != topic or not isinstance(payload, dict):
            continue
        if payload.get("status") == "error":
            raise ConnectionFailed(f"Realtime refuses a channel ({_reason(payload)}).")
        if payload.get("extension") == "postgres_changes":
            began = time.perf_counter()
            message = {"type": "broadcast", "event": _EVENT, "payload": {}}
            await socket.send(_frame(topic, "broadcast", message))
        elif frame.get("event") == "broadcast" and began:
            return round((time.perf_counter() - began) * 1000, 3)
    raise SocketEnded("The live connection ended.")


def _config() -> Frame:
    # Of no job: the subscription is what is tested, no row is wanted.
    config = Source(filter=f"job_id=eq.{uuid4()}").config()
    return {**config, "broadcast": {"ack": False, "self": True}}


def _frame(topic: str, event: str, payload: Frame, ref: str | None = None) -> Frame:
    return {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": "1"}


def _reason(payload: Frame) -> str:
    response = payload.get("response")
    return str(response.get("reason") if isinstance(response, dict) else payload.get("message"))


def _explained(error: ConnectionFailed) -> ConnectionFailed:
    """The server's words on a table that is not published are a dump of the subscription."""
    if "Unable to subscribe to changes" in error.message:
        return ConnectionFailed(
            "Realtime does not follow the event log.",
            hint="As the owner: alter publication supabase_realtime add table public.job_events;",
        )
    return ConnectionFailed(error.message, hint=error.hint or REALTIME_REMEDY)
