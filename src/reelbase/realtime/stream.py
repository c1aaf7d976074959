"""Event streams: what `watch` returns."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self

from reelbase.models import JobEvent
from reelbase.realtime.background import BackgroundLoop
from reelbase.realtime.feed import Counts


class AsyncEventStream:
    """Events of a job, in order, to its end; iterate it once.

    Leaving the loop early keeps the connection until `aclose`, the end of `async with`, or the
    client's own end.
    """

    def __init__(self, events: AsyncGenerator[JobEvent, None], counts: Counts) -> None:
        self.counts = counts
        """How many of the events so far were pushed by Realtime, and how many were read from the log."""
        self._events = events
        self._reader: asyncio.Task[Any] | None = None
        self._idle = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        self._reader = asyncio.current_task()
        self._idle.clear()
        try:
            return await anext(self._events)
        except asyncio.CancelledError:
            if not self._closed or self._reader is None:
                raise
            # Not the reader was to be cancelled, only its wait: `aclose` says that it is over.
            self._reader.uncancel()
            raise StopAsyncIteration from None
        finally:
            self._reader = None
            self._idle.set()

    async def aclose(self) -> None:
        """Let go of the connection; a task that waits for the next event finds the end. Harmless twice."""
        self._closed = True
        if self._reader is not None:
            self._reader.cancel()
            await self._idle.wait()
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


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
