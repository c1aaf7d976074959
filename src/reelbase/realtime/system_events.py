"""Following system events: the log for certainty, nudges for speed."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from reelbase.errors import ReelbaseError
from reelbase.models import Severity, SystemEvent, SystemEventLogPage
from reelbase.realtime.backoff import passes
from reelbase.realtime.nudges import Nudges
from reelbase.realtime.state import ConnectionPhase, ConnectionState
from reelbase.realtime.stream import Carry
from reelbase.services.metrics import Metrics

logger = logging.getLogger(__name__)

_FIRST_BEAT = 0.25
_LONGEST_BEAT = 10.0
_BETWEEN_READS = 0.1
"""Seconds: a nudge for each of many rows should not be a read for each."""


@dataclass(frozen=True, slots=True)
class SystemTail:
    """System events, for ever; `after` is a cursor, `now` or `beginning`."""

    after: str = "now"
    severity: Collection[Severity] | None = None
    types: Collection[str] | None = None


class SystemEventStream:
    """System events, each once, in the order of the log; iterate it in one task."""

    def __init__(
        self, tail: SystemTail, carry: Carry, nudges: Callable[[], AbstractAsyncContextManager[Nudges]]
    ) -> None:
        self._tail = tail
        self._carry = carry
        self._open_nudges = nudges
        self._nudges: Nudges | None = None
        self._first: SystemEventLogPage | None = None
        self._state = ConnectionState(ConnectionPhase.CONNECTING, "the log is read first", datetime.now(UTC))
        self._events = self._follow()

    @property
    def connection_state(self) -> ConnectionState:
        return self._state if self._nudges is None else self._nudges.connection_state

    async def start(self) -> None:
        """Read the log for the first time. Raises what reading raises."""
        if self._first is None:
            after = None if self._tail.after == "beginning" else self._tail.after
            if after == "now":
                after = await self._carry(Metrics.system_event_cursor.build(None))
            self._first = await self._read(after)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SystemEvent:
        return await anext(self._events)

    async def aclose(self) -> None:
        await self._events.aclose()

    async def _follow(self) -> AsyncGenerator[SystemEvent, None]:
        await self.start()
        page, beat = self._first, _FIRST_BEAT
        async with self._open_nudges() as self._nudges:
            while page is not None:
                for event in page.items:
                    yield event
                if not page.more:
                    await asyncio.sleep(_BETWEEN_READS)
                    nudged = await self._nudges.wait(beat)
                    # Rows can be read only when older transactions have ended: a nudge may come too early.
                    beat = _FIRST_BEAT if nudged else min(beat * 2, _LONGEST_BEAT)
                page = await self._after(page)

    async def _after(self, page: SystemEventLogPage) -> SystemEventLogPage:
        """The next page; an empty one while the log cannot be read. Raises what does not pass."""
        try:
            return await self._read(page.next_cursor)
        except ReelbaseError as error:
            if not passes(error):
                raise
            logger.warning("The system events cannot be read now: %s", error)
            return page.model_copy(update={"items": (), "more": False})

    async def _read(self, after: str | None) -> SystemEventLogPage:
        tail = self._tail
        page: SystemEventLogPage = await self._carry(
            Metrics.read_system_events.build(None, after=after, severity=tail.severity, types=tail.types)
        )
        return page
