"""One WebSocket of a recorded session. Not the library that localbase serves with, on purpose."""

import asyncio
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from conformance.realtime.frames import Frame, decode

_OPEN_TIMEOUT_S = 15


class Client:
    """Collects what arrives, and says so through the event that all clients of a session share."""

    def __init__(self, connection: ClientConnection, arrived: asyncio.Event) -> None:
        self.frames: list[Frame] = []
        self.close_code: int | None = None
        self._connection = connection
        self._arrived = arrived
        self._reading = asyncio.create_task(self._read(), name="conformance-client")

    @classmethod
    async def open(cls, url: str, headers: dict[str, str], arrived: asyncio.Event) -> Self:
        """Raises InvalidStatus when the server refuses."""
        connection = await connect(
            url,
            additional_headers=headers,
            proxy=None,
            compression=None,
            max_size=None,
            ping_interval=None,
            open_timeout=_OPEN_TIMEOUT_S,
        )
        return cls(connection, arrived)

    async def send(self, message: str | bytes) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed:
            # The next look at what arrived will tell.
            return

    def take(self) -> list[Frame]:
        """What arrived since the last time."""
        frames, self.frames = self.frames, []
        return frames

    async def close(self) -> None:
        await self._connection.close()
        await self._reading

    async def abort(self) -> None:
        """Drop the connection without a word."""
        self._connection.transport.abort()
        await self._reading

    async def _read(self) -> None:
        try:
            async for message in self._connection:
                self.frames.append(decode(message))
                self._arrived.set()
        except ConnectionClosed:
            pass
        finally:
            self.close_code = self._connection.close_code
            self._arrived.set()
