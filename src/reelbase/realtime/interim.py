"""Streams by polling alone, with the shape of those that will take their place."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any, Literal, Self

from reelbase.errors import ReelbaseError
from reelbase.execution.call import Call
from reelbase.models import EventPage, JobEvent
from reelbase.realtime.feed import Carry, Counts
from reelbase.realtime.state import ConnectionPhase, ConnectionState
from reelbase.realtime.stream import AsyncEventStream
from reelbase.realtime.watch import Tail

logger = logging.getLogger(__name__)

_BEAT = 0.2


class InterimStream(AsyncEventStream):
    """An AsyncEventStream that tells a state."""

    def __init__(self, events: AsyncGenerator[JobEvent, None], counts: Counts) -> None:
        super().__init__(events, counts)
        self.connection_state = _state()


class PollingNudges:
    """A nudge now and then."""

    def __init__(self, _table: Literal["job_events", "system_events"]) -> None:
        self.connection_state = _state()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, _BEAT))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


async def follow_tail(tail: Tail, carry: Carry, counts: Counts) -> AsyncGenerator[JobEvent, None]:
    """The events of all jobs after a cursor, for ever."""
    after = None if tail.after == "beginning" else tail.after
    page = await _page(tail, carry, after)
    while True:
        for event in page.items:
            counts.read += 1
            yield event
        if not page.more:
            await asyncio.sleep(_BEAT)
        try:
            page = await _page(tail, carry, page.next_cursor)
        except ReelbaseError as error:
            if not error.transient:
                raise
            logger.warning("The event log cannot be read now: %s", error)
            page = page.model_copy(update={"items": (), "more": False})


async def _page(tail: Tail, carry: Carry, after: str | None) -> EventPage:
    arguments: dict[str, Any] = {
        "after": after,
        "types": None if tail.types is None else tuple(tail.types),
        "user_id": tail.user_id,
        "status": None if tail.status is None else tuple(tail.status),
    }
    page: EventPage = await carry(Call("read_events", arguments, EventPage, reads=("events",)))
    return page


def _state() -> ConnectionState:
    return ConnectionState(ConnectionPhase.POLLING, "There is no live connection.", datetime.now(UTC))
