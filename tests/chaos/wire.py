"""The wire between the listeners and the gateway: a TCP proxy that cuts, resets, stalls and garbles."""

import asyncio
from collections import deque
from enum import StrEnum
from random import Random
from typing import Self

from chaos.frames import Frames, Piece
from localbase.ports import HOST


class Trick(StrEnum):
    """What becomes of one message of a WebSocket on its way from the server."""

    DUPLICATE = "duplicate"
    LOSE = "lose"
    SWAP = "swap"
    """It comes after the next one on its connection."""


class Wire:
    """Use as `async with`."""

    def __init__(self, gateway_port: int, randomness: Random) -> None:
        self.port = 0
        self._gateway_port = gateway_port
        self._randomness = randomness
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._tricks: deque[Trick] = deque()
        self._swallowing = False
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.cut()
        await asyncio.gather(*self._connections.values())

    def cut(self) -> None:
        """Reset all connections and refuse new ones, until `restore`."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset(1.0)

    async def restore(self) -> None:
        """Accept connections again, at the same address."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def reset(self, share: float) -> None:
        """Reset some of the connections; new ones are welcome."""
        for connection in self._some(share):
            connection.abort()

    def stall(self, share: float) -> None:
        """Swallow for ever what some of the connections bring, both ways; all new ones' until `flow`."""
        for connection in self._some(share):
            connection.swallows = True
        self._swallowing = True

    def flow(self) -> None:
        """New connections are sound again. Stalled ones stay as they are: bytes are missing in them."""
        self._swallowing = False

    def garble(self, trick: Trick, messages: int) -> None:
        """Play a trick on the next messages, of whichever connections."""
        self._tricks.extend([trick] * messages)

    async def heal(self) -> None:
        self._tricks.clear()
        self.flow()
        await self.restore()

    def _some(self, share: float) -> "list[_Connection]":
        return [one for one in self._connections if self._randomness.random() < share]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer, self._tricks)
        connection.swallows = self._swallowing
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        self.connections += 1
        try:
            await connection.carry(self._gateway_port)
        finally:
            del self._connections[connection]


class _Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tricks: deque[Trick]
    ) -> None:
        self.swallows = False
        self._reader = reader
        self._writer = writer
        self._upstream: asyncio.StreamWriter | None = None
        self._tricks = tricks
        self._held: list[bytes] = []

    def abort(self) -> None:
        for writer in (self._writer, self._upstream):
            if writer is not None:
                writer.transport.abort()

    async def carry(self, port: int) -> None:
        """To the end of either side."""
        try:
            upstream, self._upstream = await asyncio.open_connection(HOST, port)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._up(self._upstream))
                tasks.create_task(self._down(upstream))
        except* OSError:
            pass
        finally:
            self.abort()

    async def _up(self, upstream: asyncio.StreamWriter) -> None:
        while data := await self._reader.read(65536):
            if not self.swallows:
                upstream.write(data)
                await upstream.drain()
        self.abort()

    async def _down(self, upstream: asyncio.StreamReader) -> None:
        frames = Frames()
        while data := await upstream.read(65536):
            for piece in frames.feed(data):
                if not self.swallows:
                    self._writer.write(self._garbled(piece))
                    await self._writer.drain()
        # Of a stalled connection nobody learns that the other side is gone.
        if not self.swallows:
            self.abort()

    def _garbled(self, piece: Piece) -> bytes:
        if not piece.message:
            return piece.data
        after, self._held = b"".join(self._held), []
        match self._tricks.popleft() if self._tricks else None:
            case Trick.DUPLICATE:
                return piece.data * 2 + after
            case Trick.LOSE:
                return after
            case Trick.SWAP:
                self._held = [piece.data]
                return after
            case None:
                return piece.data + after
