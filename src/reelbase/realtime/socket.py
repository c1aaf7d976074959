"""The adapter to the `realtime` package: a socket that frames go into and come out of.

Of the package (version 2) it is the protocol that is used: the address with key and version, and how a
message is written. Its channels, its recovery and its reader are not: `realtime/link.py` says why, and reads
the frames itself. That also spares what the package takes to tell one kind of frame from the other. Version 3
changes all of this; it ends here.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import from_json

from reelbase.errors import ConnectionFailed
from reelbase.execution.identity import Secret
from reelbase.execution.telemetry import forget_frames
from reelbase.realtime.endpoint import RealtimeEndpoint
from reelbase.realtime.link import Frame

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection, connect

_CLOSING_SECONDS = 1.0
# What goes over the wire, which websockets logs at DEBUG, holds keys and tokens.
_wire = logging.getLogger(f"{__name__}.wire")
_wire.setLevel(logging.INFO)


class SocketEnded(ConnectionFailed):
    """The socket is gone."""


class Socket:
    """An open socket. Iterate it for frames, in one task; it ends with SocketEnded."""

    def __init__(self, connection: "ClientConnection") -> None:
        self._connection = connection

    async def send(self, frame: Frame) -> None:
        """Raises SocketEnded."""
        from realtime.message import Message  # noqa: PLC0415  # see `_direct`
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        try:
            await self._connection.send(Message(**frame).model_dump_json())
        except ConnectionClosed as error:
            raise _ended(error) from error

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

        while True:
            try:
                text = await self._connection.recv()
            except ConnectionClosed as error:
                raise _ended(error) from error
            frame: Any = from_json(text)
            if isinstance(frame, dict):
                return frame


@asynccontextmanager
async def connected(endpoint: RealtimeEndpoint) -> AsyncIterator[Socket]:
    """An open socket. Raises ConnectionFailed when it cannot be opened within the endpoint's patience."""
    try:
        connection = await _direct()(_address(endpoint), open_timeout=endpoint.timing.connect, logger=_wire)
    except Exception as error:
        # Of the network, the handshake or the address: websockets raises many kinds.
        forget_frames(error.with_traceback(None))
        reason = str(error) or "no answer in time"
        raise ConnectionFailed(f"Realtime cannot be reached ({reason}).") from error
    try:
        yield Socket(connection)
    finally:
        await _close(connection)


@cache
def _direct() -> "type[connect]":
    # Here and not above: it takes a tenth of a second, and most programs watch nothing.
    from websockets.asyncio.client import connect  # noqa: PLC0415

    class Direct(connect):
        """Goes where it is told and nowhere else: it has the key with it."""

        def process_redirect(self, exc: Exception) -> Exception:
            return exc

    return Direct


def _address(endpoint: RealtimeEndpoint) -> Secret:
    from realtime import AsyncRealtimeClient  # noqa: PLC0415  # see `_direct`

    return Secret(AsyncRealtimeClient(endpoint.url, endpoint.key).endpoint_url())


def _ended(error: Exception) -> SocketEnded:
    return SocketEnded(f"The live connection ended ({error}).")


async def _close(connection: "ClientConnection") -> None:
    """Say good-bye, but not for long to a server that does not answer."""
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await connection.close()
    except TimeoutError:
        pass
    finally:
        connection.transport.abort()
