"""Event streams: what `jobs.watch` and `events.stream` return. The shell around `realtime/feed.py`."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from reelbase.errors import ReelbaseError
from reelbase.execution.call import Call
from reelbase.models import JobEvent
from reelbase.realtime.background import BackgroundLoop, until_closed
from reelbase.realtime.backoff import passes
from reelbase.realtime.callbacks import ENDS_PROGRAM, contained
from reelbase.realtime.clock import Clock
from reelbase.realtime.feed import Counts, End, Feed, Read, Wait
from reelbase.realtime.hub import Hub
from reelbase.realtime.source import Source
from reelbase.realtime.state import ConnectionState
from reelbase.realtime.tasks import Kept, is_cancelled

Carry = Callable[[Call[Any]], Awaitable[Any]]

_AT_ONCE = 100
_SOON = 0.01

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What streams of one client share."""

    hub: Hub
    carry: Carry
    clock: Clock
    broadcast: bool = False
    """Whether rows are to come by broadcast, where there is a topic for them."""
    seen: Callable[[JobEvent], Awaitable[None]] | None = None
    """Awaited before an event is handed out."""


class Log(ABC):
    """How one stream reads the log."""

    source: Source

    @abstractmethod
    async def read(self, carry: Carry) -> tuple[Any, bool]:
        """The next page, and whether there is more. Raises what the call raises."""

    def completed(self, event: JobEvent) -> JobEvent | None:
        """The event with what it should carry; None when something has to be read first."""
        return event

    async def complete(self, event: JobEvent, carry: Carry) -> JobEvent:
        """The event with what it should carry, read."""
        return event

    def cursor(self, *, told: bool) -> str | None:
        """Where a stream of the whole log can be taken up again, whether its last page is told or not."""
        return None


class AsyncEventStream:
    """Events in order, each once; iterate it in one task.

    Waiting for an event may be cancelled, by `asyncio.wait_for` for one; the next wait goes on.
    Leaving the loop early keeps the connection until `aclose`, the end of `async with`, or the client's
    own end.
    """

    def __init__(self, log: Log, order: Any, around: Surroundings, owner: object = None) -> None:
        # Who closes the stream is there as long as the stream is: a client may be forgotten sooner.
        self._owner = owner
        self._log = log
        self._around = around
        self._observers: list[Callable[[ConnectionState], None]] = []
        self._feed: Feed[Any] = Feed(order, around.clock.now(), report=self._report)
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[tuple[Any, bool]] | None = None
        self._pending: JobEvent | None = None
        self._completing: Kept[JobEvent] = Kept("reelbase-event")
        self._has_read = False
        self._closed = False

    @property
    def counts(self) -> Counts:
        """How many of the events so far were pushed by Realtime, and how many were read from the log."""
        return self._feed.counts

    @property
    def connection_state(self) -> ConnectionState:
        """How live the stream is, and why. That it has caught up, it learns while an event is waited for."""
        return self._feed.state

    def on_connection_state(self, observer: Callable[[ConnectionState], None]) -> None:
        """Call a function with each new state from now on; it must not block."""
        self._observers.append(observer)

    @property
    def cursor(self) -> str | None:
        """Where to take a stream of many jobs up again: `events.stream(after=…)`. All that lies before it has
        been told; some of what is told again may have been told too. None before the first event, and for
        one job, where `after_seq` does that."""
        return self._log.cursor(told=self._pending is None and not self._feed.is_telling)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        if self._closed:
            raise StopAsyncIteration
        try:
            while self._pending is None:
                await self._advance()
            event = await self._completed(self._pending)
        except asyncio.CancelledError:
            if self._closed and not is_cancelled():
                raise StopAsyncIteration from None
            raise
        self._pending = None
        return event

    async def start(self) -> None:
        """Read the log for the first time and begin to listen. Raises what reading raises."""
        with suppress(StopAsyncIteration):
            while not self._has_read and not self._closed and self._pending is None:
                await self._advance()

    async def aclose(self) -> None:
        """Let go of the connection; a task that waits for the next event finds the end. Harmless twice."""
        self._closed = True
        self._around.hub.ignore(self._log.source, self)
        self._feed.close()
        self._changed.set()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        await self._completing.aclose()

    async def retire(self) -> None:
        """As the client does at its end."""
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def is_ready(self) -> bool:
        """Whether the next event is probably here already."""
        return self._feed.is_ready

    # Signals of the hub -------------------------------------------------------------------------

    def up(self) -> None:
        self._feed.up(self._around.clock.now())
        self._changed.set()

    def down(self, reason: str) -> None:
        self._feed.down(self._around.clock.now(), reason)
        self._changed.set()

    def row(self, event: JobEvent | None) -> None:
        self._feed.row(self._around.clock.now(), event)
        self._changed.set()

    # --------------------------------------------------------------------------------------------

    async def _advance(self) -> None:
        """Take one step towards the next event. Raises StopAsyncIteration at the end."""
        if self._closed:
            raise StopAsyncIteration
        self._changed.clear()
        if self._reading is not None and self._reading.done():
            self._take_page(self._reading)
        step = self._feed.step(self._around.clock.now())
        if isinstance(step, Read):
            # In a task of its own: rows that come meanwhile need not wait, and a cancelled wait ends nothing.
            self._reading = asyncio.create_task(self._page(), name="reelbase-log")
            self._reading.add_done_callback(lambda _: self._changed.set())
        elif isinstance(step, Wait):
            await self._around.clock.wait(self._changed, step.until)
        elif isinstance(step, End):
            await self.aclose()
            raise StopAsyncIteration
        else:
            self._pending = step

    async def _completed(self, event: JobEvent) -> JobEvent:
        if self._around.seen is None and (completed := self._log.completed(event)) is not None:
            return completed
        return await self._completing.result(lambda: self._complete(event))

    async def _complete(self, event: JobEvent) -> JobEvent:
        if self._around.seen is not None:
            await self._around.seen(event)
        return self._log.completed(event) or await self._log.complete(event, self._around.carry)

    def _take_page(self, reading: "asyncio.Task[tuple[Any, bool]]") -> None:
        """Tell the feed. The first failure is the caller's; later ones that pass are waited out."""
        self._reading = None
        now = self._around.clock.now()
        try:
            page, more = reading.result()
        except BaseException as error:
            self._feed.failed(now, f"the log cannot be read now: {error}")
            if self._has_read and isinstance(error, ReelbaseError) and passes(error):
                return
            raise
        self._feed.page(now, page, more=more)
        if not self._has_read:
            self._has_read = True
            # Not before: what does not exist, or has ended, needs no connection.
            if not self._feed.has_all:
                self._around.hub.listen(self._log.source, self)

    async def _page(self) -> tuple[Any, bool]:
        async with self._around.hub.reads:
            return await self._log.read(self._around.carry)

    def _report(self, state: ConnectionState) -> None:
        for observer in self._observers:
            try:
                observer(state)
            except ENDS_PROGRAM:
                raise
            except BaseException:
                logger.exception("An observer of the connection state failed.")


class EventStream:
    """The same for synchronous code: the connection lives in the client's background thread."""

    def __init__(self, events: AsyncEventStream, loop: BackgroundLoop) -> None:
        self._events = events
        self._loop = loop
        self._here: deque[JobEvent] = deque()
        self._turn = asyncio.Lock()
        self._cursor_before: str | None = None
        """What is `here` has not been told yet."""

    @property
    def counts(self) -> Counts:
        """How many of the events so far were pushed by Realtime, and how many were read from the log."""
        return self._events.counts

    @property
    def connection_state(self) -> ConnectionState:
        """How live the stream is, and why."""
        return self._events.connection_state

    def on_connection_state(self, observer: Callable[[ConnectionState], None]) -> None:
        """Call a function with each new state from now on, in the background thread; it must not block."""
        self._events.on_connection_state(contained(observer))

    @property
    def cursor(self) -> str | None:
        """As of AsyncEventStream."""
        return self._cursor_before if self._here else self._events.cursor

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> JobEvent:
        event = self._next(None)
        if event is None:
            # Without a limit there is one, unless another thread has closed this meanwhile.
            raise StopIteration
        return event

    def next_within(self, seconds: float) -> JobEvent | None:
        """The next event; None if there is none for so long. Raises StopIteration at the end."""
        return self._next(seconds)

    def start(self) -> None:
        """As of AsyncEventStream."""
        self._loop.run(self._events.start())

    def close(self) -> None:
        """Let go of the connection. Harmless when done twice, and after the client's own end."""
        self._here.clear()
        with until_closed():
            self._loop.run(self._events.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self, seconds: float | None) -> JobEvent | None:
        if not self._here:
            try:
                self._loop.run(self._fetch(seconds))
            except (StopAsyncIteration, CancelledError):
                # Cancelled: the client was closed by another thread, and its streams end with it.
                raise StopIteration from None
        try:
            return self._here.popleft()
        except IndexError:
            return None

    async def _fetch(self, seconds: float | None) -> None:
        """Put the next event in its place, unless there is none for so long, and those that came with it.

        Crossing threads for each would take longer than the event itself. An interrupted caller may have left
        one of these behind: it goes first, and what it has put there is what the caller gets next.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds) as limit, self._turn:
                if self._here:
                    return
                self._cursor_before = self._events.cursor
                self._here.append(await anext(self._events))
                limit.reschedule(None)
                # What ends the stream here ends it again when there is nothing before it.
                with suppress(TimeoutError, StopAsyncIteration, ReelbaseError):
                    while self._events.is_ready and len(self._here) < _AT_ONCE:
                        async with asyncio.timeout(_SOON):
                            self._here.append(await anext(self._events))
