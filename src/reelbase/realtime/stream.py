"""Event streams: what `watch` returns."""

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Self

from reelbase.models import JobEvent
from reelbase.realtime.background import BackgroundLoop


class AsyncEventStream:
    """Events of a job, in order, to its end; iterate it once.

    Leaving the loop early keeps the connection until `aclose`, the end of `async with`, or the
    client's own end.
    """

    def __init__(self, events: AsyncGenerator[JobEvent, None]) -> None:
        self._events = events

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JobEvent:
        return await anext(self._events)

    async def aclose(self) -> None:
        """Let go of the connection. Harmless when done twice."""
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
        except StopAsyncIteration:
            raise StopIteration from None
        except asyncio.CancelledError:
            # The client was closed by another thread: the stream ends with it.
            raise StopIteration from None

    def close(self) -> None:
        """Let go of the connection. Harmless when done twice."""
        self._loop.run(self._events.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
