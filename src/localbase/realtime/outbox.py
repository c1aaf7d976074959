"""What waits to be sent to one socket: bounded, so that a client which does not read is cut off."""

import asyncio
from collections.abc import Callable

from localbase.realtime.protocol import Outgoing, Version, encode

MAX_WAITING = 16 * 1024 * 1024
# What a waiting frame costs beside its text.
_FRAME_COST = 100

Frame = str | bytes


class Encoder:
    """Encodes a message once for all the sockets it goes to, which follow directly on each other."""

    def __init__(self) -> None:
        self._last: dict[Version, tuple[Outgoing, Frame | None]] = {}

    def encode(self, version: Version, message: Outgoing) -> Frame | None:
        last = self._last.get(version)
        if last is None or last[0] is not message:
            last = self._last[version] = (message, encode(version, message))
        return last[1]


class Outbox:
    """`overflow` is called once, when more than `limit` bytes would wait; later messages are dropped."""

    def __init__(
        self, version: Version, encoder: Encoder, overflow: Callable[[], None], limit: int = MAX_WAITING
    ) -> None:
        self._version = version
        self._encoder = encoder
        self._overflow = overflow
        self._limit = limit
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._waiting = 0

    def send(self, message: Outgoing) -> None:
        frame = self._encoder.encode(self._version, message)
        if frame is None or self._waiting > self._limit:
            return
        self._waiting += len(frame) + _FRAME_COST
        if self._waiting > self._limit:
            self._overflow()
        else:
            self._frames.put_nowait(frame)

    async def take(self) -> Frame:
        frame = await self._frames.get()
        self._waiting -= len(frame) + _FRAME_COST
        return frame
