"""The adapter to the `realtime` package: a socket that frames go into and come out of.

Of the package (version 2) it is the connection that is used: address, key, handshake, sending. Its channels
and its recovery are not: `realtime/link.py` says why, and reads the frames itself. That also spares what the
package takes to tell one kind of frame from the other. Version 3 changes all of this; it ends here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import from_json

from reelbase.errors import ConnectionFailed
from reelbase.realtime.endpoint import RealtimeEndpoint
from reelbase.realtime.link import Frame

if TYPE_CHECKING:
    from realtime import AsyncRealtimeClient
    from websockets.asyncio.client import ClientConnection

_CLOSING_SECONDS = 1.0


class SocketEnded(ConnectionFailed):
    """The socket is gone."""


class Socket:
    """An open socket. Iterate it for frames, in one task; it ends with SocketEnded."""

    def __init__(self, client: "AsyncRealtimeClient", connection: "ClientConnection") -> None:
        self._client = client
        self._connection = connection

    async def send(self, frame: Frame) -> None:
        from realtime.message import Message  # noqa: PLC0415  # see `connected`

        await self._client.send(Message(**frame))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415  # see `connected`

        while True:
            try:
                text = await self._connection.recv()
            except ConnectionClosed as error:
                raise SocketEnded(f"The live connection ended ({error}).") from error
            frame: Any = from_json(text)
            if isinstance(frame, dict):
                return frame


@asynccontextmanager
async def connected(endpoint: RealtimeEndpoint) -> AsyncIterator[Socket]:
    """An open socket. Raises ConnectionFailed when it cannot be opened within the endpoint's patience."""
    # Here and not above: it takes a tenth of a second, and most programs watch nothing.
    client = _client(endpoint)
    try:
        try:
            async with asyncio.timeout(endpoint.timing.connect):
                await client.connect()
        except Exception as error:
            # The package passes on what websockets raises, and raises bare exceptions of its own.
            reason = str(error) or "no answer in time"
            raise ConnectionFailed(f"Realtime cannot be reached ({reason}).") from error
        connection = client._ws_connection  # noqa: SLF001  # frames are read past the package's own reader
        if connection is None:
            raise SocketEnded("The live connection ended at once.")
        yield Socket(client, connection)
    finally:
        await _close(client)


def _client(endpoint: RealtimeEndpoint) -> "AsyncRealtimeClient":
    from realtime import AsyncRealtimeClient  # noqa: PLC0415

    class Client(AsyncRealtimeClient):
        """A client whose own reader and heartbeats rest."""

        async def _listen(self) -> None:
            pass

        async def _heartbeat(self) -> None:
            pass

    return Client(endpoint.url, endpoint.key, auto_reconnect=False, max_retries=1)


async def _close(client: "AsyncRealtimeClient") -> None:
    """Say good-bye, but not for long to a server that does not answer."""
    connection: Any = client._ws_connection  # noqa: SLF001  # closing waits for an answer, aborting does not
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await client.close()
    except TimeoutError:
        pass
    finally:
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
