"""Following system events: the log for certainty, nudges for speed."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, Self

from reelbase.errors import ReelbaseError
from reelbase.execution.call import Call
from reelbase.models import Severity, SystemEvent, SystemEventLogPage
from reelbase.realtime.feed import Carry
from reelbase.realtime.state import ConnectionPhase, ConnectionState

logger = logging.getLogger(__name__)

_FIRST_BEAT = 0.25
_LONGEST_BEAT = 10.0


class Nudges(Protocol):
    """Wakes who reads a log by himself."""

    @property
    def connection_state(self) -> ConnectionState: ...

    async def wait(self, seconds: float) -> None:
        """Until rows were written, the live connection came, or so many seconds have passed."""


OpenNudges = Callable[[Literal["job_events", "system_events"]], AbstractAsyncContextManager[Nudges]]


@dataclass(frozen=True, slots=True)
class SystemTail:
    """System events, for ever; `after` is a cursor or `beginning`."""

    after: str
    severity: Collection[Severity] | None = None
    types: Collection[str] | None = None


class SystemEventStream:
    """System events, each once, in the order of the log; iterate it once.

    Raises what the first read of the log raises; later on, only what does not pass.
    """

    def __init__(self, tail: SystemTail, carry: Carry, open_nudges: OpenNudges) -> None:
        self._tail = tail
        self._carry = carry
        self._open_nudges = open_nudges
        self._nudges: Nudges | None = None
        self._begun = datetime.now(UTC)
        self._events = self._follow()

    @property
    def connection_state(self) -> ConnectionState:
        if self._nudges is None:
            return ConnectionState(ConnectionPhase.CONNECTING, "The log is being read.", self._begun)
        return self._nudges.connection_state

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SystemEvent:
        return await anext(self._events)

    async def aclose(self) -> None:
        await self._events.aclose()

    async def _follow(self) -> AsyncGenerator[SystemEvent, None]:
        # Read once before connecting: who may not read needs no connection.
        page = await self._read(None if self._tail.after == "beginning" else self._tail.after)
        beat = _FIRST_BEAT
        async with self._open_nudges("system_events") as self._nudges:
            while True:
                for event in page.items:
                    yield event
                if not page.more:
                    beat = await self._rest(self._nudges, beat)
                page = await self._after(page)

    async def _rest(self, nudges: Nudges, beat: float) -> float:
        """Wait for the next reading; for how long before the one after.

        What was written can be read only when older transactions have ended: a nudge may come too early.
        """
        clock = asyncio.get_running_loop()
        began = clock.time()
        await nudges.wait(beat)
        nudged = clock.time() - began < beat * 0.9
        return _FIRST_BEAT if nudged else min(beat * 2, _LONGEST_BEAT)

    async def _after(self, page: SystemEventLogPage) -> SystemEventLogPage:
        """The next page; an empty one while the log cannot be read."""
        try:
            return await self._read(page.next_cursor)
        except ReelbaseError as error:
            if not error.transient:
                raise
            logger.warning("The system events cannot be read now: %s", error)
            return page.model_copy(update={"items": (), "more": False})

    async def _read(self, after: str | None) -> SystemEventLogPage:
        page: SystemEventLogPage = await self._carry(
            Call(
                "read_system_events",
                {
                    "after": after,
                    "severity": None if self._tail.severity is None else tuple(self._tail.severity),
                    "types": None if self._tail.types is None else tuple(self._tail.types),
                },
                SystemEventLogPage,
                reads=("events",),
            )
        )
        return page
