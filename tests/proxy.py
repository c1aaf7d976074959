"""Servers on loopback that fail on purpose: a TCP proxy, and a web server that answers as it likes."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import urlsplit

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one answer, after the server has done what it was asked to do.

    `instead` is sent in its place; else its head and the first `body` bytes of its body, or nothing of it at
    all when `body` is None. Then the connection is reset, closed, left silent, or goes on.
    """

    body: int | None = None
    instead: bytes | None = None
    then: Literal["reset", "close", "silence", "go on"] = "reset"

    def shown(self, answer: bytes) -> bytes:
        if self.instead is not None:
            return self.instead
        return b"" if self.body is None else answer[: answer.index(_HEAD_END) + len(_HEAD_END) + self.body]


_HEAD_END = b"\r\n\r\n"


def page(status: str, body: bytes, *headers: str) -> Fault:
    """An answer as a gateway would give it, in place of the server's."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers])
    return Fault(instead=head.encode() + _HEAD_END + body, then="go on")


class Proxy:
    """Passes bytes on to `url`'s host until it is told to fail. Use as `async with`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 80)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._port = 0
        self._faults: deque[Fault] = deque()
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self) -> None:
        """Reset all connections and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()

    def reset(self) -> None:
        """Reset all connections; new ones are welcome."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def restore(self) -> None:
        """Accept connections again, at the same address."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    def stall(self) -> None:
        """Swallow silently what is sent, in both directions, until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        self._flowing.set()

    def spoil(self, *faults: Fault) -> None:
        """The next answers, one after the other; all later ones pass."""
        self._faults.extend(faults)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            upstream = await asyncio.open_connection(*self._target)
            async with _closing(self._writers, writer), _closing(self._writers, upstream[1]):
                await asyncio.gather(self._pump(reader, upstream[1]), self._answer(upstream[0], writer))
        self._tasks.discard(task)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            if self._faults:
                fault = self._faults.popleft()
                while _HEAD_END not in data or len(data) - data.index(_HEAD_END) < (fault.body or 0) + 4:
                    data += await reader.read(65536)
                writer.write(fault.shown(data))
                await writer.drain()
                if fault.then == "silence":
                    await asyncio.Event().wait()
                if fault.then == "close":
                    writer.close()
                    return
                if fault.then == "reset":
                    break
                continue
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


@contextlib.asynccontextmanager
async def _closing(writers: set[asyncio.StreamWriter], writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    writers.add(writer)
    try:
        yield
    finally:
        writers.discard(writer)
        writer.close()


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A web server of our own that answers as it likes."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
