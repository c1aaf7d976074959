"""One WebSocket: moves frames between the wire and its session, and sees to the session's effects."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Protocol, assert_never

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from localbase.realtime.channel import Channel, Permissions, Send
from localbase.realtime.identity import Identity
from localbase.realtime.joins import Replay
from localbase.realtime.outbox import Encoder, Outbox
from localbase.realtime.protocol import Message, Version, decode
from localbase.realtime.session import Authorize, Effects, SendEarlier, Session, Subscribe, Unsubscribe

# As long as the real server waits for a client that has nothing to say.
IDLE_S = 66.0
MAX_FRAME = 5 * 1000 * 1000
# How long a client may take to answer a close.
_CLOSE_S = 2.0

_LOG = logging.getLogger(__name__)


class Backend(Protocol):
    """What a session asks of the database."""

    async def authorize(self, name: str, identity: Identity) -> Permissions: ...

    async def earlier(self, channel: Channel, wanted: Replay) -> list[Message]: ...

    def subscribe(self, session: Session, channel: Channel) -> None: ...

    def unsubscribe(self, channel: Channel) -> None: ...


class Socket:
    def __init__(
        self,
        request: web.Request,
        version: Version,
        encoder: Encoder,
        backend: Backend,
        session: Callable[[Send], Session],
    ) -> None:
        self._request = request
        self._version = version
        self._backend = backend
        self._outbox = Outbox(version, encoder, self._overflow)
        self._session = session(self._outbox.send)
        self._expiry: asyncio.TimerHandle | None = None
        self.response = web.WebSocketResponse(timeout=_CLOSE_S, max_msg_size=MAX_FRAME, compress=False)

    async def run(self) -> None:
        """Serve the client until either side closes."""
        await self.response.prepare(self._request)
        writer = asyncio.create_task(self._write(), name="realtime-socket-writer")
        # A writer that gives up takes the socket with it; nobody would hear of anything any more.
        writer.add_done_callback(self._wrote)
        try:
            await self._read()
        finally:
            self._disarm()
            await self._perform(self._session.close())
            writer.cancel()
            # The connection may be gone before the last frames are written.
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer

    async def shut(self) -> None:
        """Close because the server stops."""
        await self.response.close(code=WSCloseCode.SERVICE_RESTART)

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self._request.transport:
            self._request.transport.abort()

    async def _read(self) -> None:
        while True:
            try:
                message = await self.response.receive(timeout=IDLE_S)
            except TimeoutError:
                await self.response.close(code=WSCloseCode.OK)
                return
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            await self._receive(message)

    async def _receive(self, frame: WSMessage) -> None:
        message = decode(self._version, frame.data)
        if message is not None:
            await self._perform(self._session.receive(message, time.time(), len(frame.data)))
            self._arm()

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.take()
            if isinstance(frame, str):
                await self.response.send_str(frame)
            else:
                await self.response.send_bytes(frame)

    async def _perform(self, effects: Effects) -> None:
        for effect in effects:
            match effect:
                case Authorize(channel):
                    permissions = await self._backend.authorize(channel.name, channel.identity)
                    await self._perform(self._session.authorized(effect, permissions))
                case Subscribe(channel):
                    self._backend.subscribe(self._session, channel)
                case Unsubscribe(channel):
                    self._backend.unsubscribe(channel)
                case SendEarlier(channel, wanted):
                    for message in await self._backend.earlier(channel, wanted):
                        channel.send(message)
                case _:
                    assert_never(effect)

    def _arm(self) -> None:
        """Wake up when the next token expires."""
        self._disarm()
        expiry = self._session.next_expiry()
        if expiry is not None:
            loop = asyncio.get_running_loop()
            self._expiry = loop.call_later(max(0.0, expiry - time.time()), self._expire)

    def _disarm(self) -> None:
        if self._expiry:
            self._expiry.cancel()

    def _expire(self) -> None:
        for effect in self._session.expire(time.time()):
            self._backend.unsubscribe(effect.channel)
        self._arm()

    def _wrote(self, writer: asyncio.Task[None]) -> None:
        if not writer.cancelled():
            self.abort()

    def _overflow(self) -> None:
        _LOG.warning("a realtime client does not read what is sent to it; connection cut")
        self.abort()
