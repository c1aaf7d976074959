"""Event streams: what `watch` returns."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Self

from reelbase.models import JobEvent
from reelbase.realtime.background import BackgroundLoop
from reelbase.realtime.feed import Counts


class AsyncEventStream:
    """Events of a job, in order, to its end; iterate it once.

    Waiting for an event may be cancelled, by `asyncio.wait_for` for one; the next wait goes on.
    Leaving the loop early keeps the connection until `aclose`, the end of `async with`, or the client's
    own end.
    """

    def __init__(self, events: AsyncGenerator[JobEvent, None], counts: Counts) -> None:
        self.counts = counts
        """How many of the events so far were pushed by Realtime, and how many were read from the log."""
        self._events = events
        # Outlives a cancelled wait: cancelling the generator itself would end it, and lose an event.
        self._next: asyncio.Future[JobEvent] | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        if self._closed:
            raise StopAsyncIteration
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._events))
        try:
            event = await asyncio.shield(self._next)
        except asyncio.CancelledError:
            if self._closed and not _is_cancelled():
                raise StopAsyncIteration from None
            raise
        except BaseException:
            self._next = None
            raise
        self._next = None
        return event

    async def aclose(self) -> None:
        """Let go of the connection; a task that waits for the next event finds the end. Harmless twice."""
        self._closed = True
        if self._next is not None:
            self._next.cancel()
            await asyncio.wait({self._next})
            self._next = None
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _is_cancelled() -> bool:
    """Whether the running task itself is being cancelled, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class EventStream:
    """The same for synchronous code: the connection lives in the client's background thread."""

    def __init__(self, events: AsyncEventStream, loop: BackgroundLoop) -> None:
        self._events = events
        self._loop = loop

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> JobEvent:
        try:
            return self._loop.run(anext(self._events))
        except (StopAsyncIteration, CancelledError):
            # Cancelled: the client was closed by another thread, and its streams end with it.
            raise StopIteration from None

    def next_within(self, seconds: float) -> JobEvent | None:
        """The next event; None if there is none for so long. Raises StopIteration at the end."""

        async def take() -> JobEvent | None:
            try:
                async with asyncio.timeout(seconds):
                    return await anext(self._events)
            except TimeoutError:
                return None

        try:
            return self._loop.run(take())
        except (StopAsyncIteration, CancelledError):
            raise StopIteration from None

    def close(self) -> None:
        """Let go of the connection. Harmless when done twice, and after the client's own end."""
        if not self._loop.closed:
            self._loop.run(self._events.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
