"""The streams of a client: opened here, and remembered, so that they end with it."""

import asyncio
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from reelbase.models import JobEvent
from reelbase.realtime.clock import Clock
from reelbase.realtime.consumer import AsyncConsumer
from reelbase.realtime.consumption import Consumption
from reelbase.realtime.endpoint import LivePath, RealtimeEndpoint
from reelbase.realtime.hub import Hub
from reelbase.realtime.logs import JobLog, WholeLog
from reelbase.realtime.nudges import Nudges
from reelbase.realtime.source import Source, Table
from reelbase.realtime.stream import AsyncEventStream, Carry, Surroundings
from reelbase.realtime.watch import Subject, Watch


class Feeds:
    """Streams of one caller, over sockets of its own. Those of a guest end with its `host`, too."""

    def __init__(
        self,
        endpoint: RealtimeEndpoint,
        carry: Carry,
        live: LivePath,
        seen: Callable[[JobEvent], Awaitable[None]] | None = None,
        *,
        host: "Feeds | None" = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or Clock()
        self._hub = Hub(endpoint, clock)
        self._around = Surroundings(self._hub, carry, clock, live == "broadcast", seen)
        self._streams: weakref.WeakSet[AsyncEventStream | AsyncConsumer] = weakref.WeakSet()
        self._guests: weakref.WeakSet[Feeds] = weakref.WeakSet()
        if host is not None:
            host._guests.add(self)  # noqa: SLF001  # of the same class

    @property
    def in_use(self) -> bool:
        """Whether there is anything to close."""
        return bool(self._streams) or self._hub.sockets > 0 or any(guest.in_use for guest in self._guests)

    def follow(self, what: Subject | Consumption) -> AsyncEventStream | AsyncConsumer:
        return self.consume(what) if isinstance(what, Consumption) else self.open(what)

    def consume(self, consumption: Consumption) -> AsyncConsumer:
        """A consumer; nothing is asked for before it is opened."""
        around = self._around
        consumer = AsyncConsumer(consumption, around.carry, lambda: self.nudges("job_events"), around.seen)
        self._streams.add(consumer)
        return consumer

    def open(self, subject: Subject) -> AsyncEventStream:
        """A stream; nothing connects before its first event is waited for."""
        broadcast = self._around.broadcast
        log: JobLog | WholeLog
        if isinstance(subject, Watch):
            log = JobLog(subject, broadcast=broadcast)
        else:
            log = WholeLog(subject, broadcast=broadcast)
        events = AsyncEventStream(log, log.order, self._around, self)
        self._streams.add(events)
        return events

    @asynccontextmanager
    async def nudges(self, table: Table) -> AsyncIterator[Nudges]:
        """Nudges whenever a table has new rows."""
        source, nudges = Source(table), Nudges(self._around.clock)
        self._hub.listen(source, nudges)
        try:
            yield nudges
        finally:
            self._hub.ignore(source, nudges)

    async def close(self) -> None:
        """End all streams, of guests too."""
        closing = [guest.close() for guest in self._guests]
        closing += [each.retire() for each in self._streams]
        # At once, as each may have a word to say to the server; and all of them, whatever one raises.
        ended = await asyncio.gather(*closing, return_exceptions=True)
        await self._hub.close()
        for error in ended:
            if isinstance(error, BaseException):
                raise error
