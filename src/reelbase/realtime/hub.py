"""The live connection of a client: as few sockets as its sources need, shared by all who listen.

The shell around `realtime/link.py`: it opens sockets, carries frames and tells listeners.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

from reelbase.errors import ConnectionFailed, ReelbaseError
from reelbase.execution.forks import forks
from reelbase.models import JobEvent, read_event
from reelbase.realtime.clock import Clock
from reelbase.realtime.endpoint import RealtimeEndpoint
from reelbase.realtime.link import Action, Close, Down, Link, Open, Renew, Row, Send, Up
from reelbase.realtime.socket import Socket, SocketEnded, connected
from reelbase.realtime.source import Source

logger = logging.getLogger(__name__)

_READS_AT_ONCE = 16
_FRAMES_AT_ONCE = 10
_LINGER = 2.0
"""Seconds that a socket without channels stays open for the next one."""


class Listener(Protocol):
    """Who wants to know of a source. Called in the event loop; must not block. What it raises is logged."""

    def up(self) -> None:
        """Rows flow from now on; some may have been missed before."""

    def down(self, reason: str) -> None:
        """Rows flow no more."""

    def row(self, event: JobEvent | None) -> None:
        """A row; None in place of one that cannot be read, or is of another table than job_events."""


class Hub:
    """Listeners by source, and the sockets that serve them."""

    def __init__(self, endpoint: RealtimeEndpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._begin()
        forks.register(self)

    def leave_parent(self) -> object:
        lines = self._lines
        self._begin()
        return lines

    def _begin(self) -> None:
        self._lines: list[_Line] = []
        self.reads = asyncio.Semaphore(_READS_AT_ONCE)
        """How many streams may read the log at once: a thousand of them should leave room for other calls."""

    def listen(self, source: Source, listener: Listener) -> None:
        """Tell the listener of the source from now on. It is `up` at once if the source is."""
        line = self._line_of(source)
        line.listen(source, listener)

    def ignore(self, source: Source, listener: Listener) -> None:
        """Tell it no more. Harmless when it was not told."""
        for line in self._lines:
            line.ignore(source, listener)

    @property
    def sockets(self) -> int:
        return len(self._lines)

    async def close(self) -> None:
        """End all sockets; listeners are told nothing more."""
        lines, self._lines = self._lines, []
        for line in lines:
            await line.close()

    def _line_of(self, source: Source) -> "_Line":
        self._lines = [line for line in self._lines if not line.ended]
        with_it = (line for line in self._lines if source in line.listeners)
        with_room = (line for line in self._lines if len(line.listeners) < self._endpoint.channels)
        line = next(with_it, None) or next(with_room, None)
        if line is None:
            line = _Line(self._endpoint, self._clock)
            self._lines.append(line)
        return line


class _Line:
    """One socket after another, for a set of sources."""

    def __init__(self, endpoint: RealtimeEndpoint, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._link = Link(endpoint.timing)
        self.listeners: dict[Source, list[Listener]] = {}
        self._outgoing: list[Action] = []
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run(), name="reelbase-live")

    @property
    def ended(self) -> bool:
        return self._task.done()

    def listen(self, source: Source, listener: Listener) -> None:
        listeners = self.listeners.setdefault(source, [])
        listeners.append(listener)
        if self._link.is_up(source):
            _tell(listener.up)
        self._link.add(source)
        self._changed.set()

    def ignore(self, source: Source, listener: Listener) -> None:
        listeners = self.listeners.get(source, [])
        if listener in listeners:
            listeners.remove(listener)
        if source in self.listeners and not listeners:
            del self.listeners[source]
            self._do(self._link.remove(source))
            self._changed.set()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _run(self) -> None:
        """One session after another, while anybody listens."""
        while self.listeners:
            self._changed.clear()
            if any(isinstance(action, Open) for action in self._link.poll(self._clock.now())):
                reason = await self._session()
                if self.listeners:
                    logger.warning("%s. Going on by polling.", reason.rstrip("."))
                self._do(self._link.lost(self._clock.now(), reason), warn=False)
            else:
                await self._clock.wait(self._changed, self._link.deadline())

    async def _session(self) -> str:
        """Open a socket and serve it to its end; why it ended."""
        try:
            async with connected(self._endpoint) as socket:
                token = await self._endpoint.fresh_token()
                self._do(self._link.opened(self._clock.now(), token, self._endpoint.due_in()))
                return await self._serve(socket)
        except ReelbaseError as error:
            return error.message
        except Exception as error:
            # Whatever it is, the next attempt follows: a live connection may fail, never end.
            logger.exception("The live connection failed.")
            return f"{type(error).__name__}: {error}"
        finally:
            self._outgoing.clear()

    async def _serve(self, socket: Socket) -> str:
        """Carry frames until the socket or the link ends it; why."""
        reader = asyncio.create_task(self._read(socket), name="reelbase-live-reader")
        reader.add_done_callback(lambda _: self._changed.set())
        try:
            while not reader.done():
                self._changed.clear()
                self._do(self._link.poll(self._clock.now()))
                outgoing, self._outgoing = self._outgoing, []
                for action in outgoing:
                    if isinstance(action, Close):
                        return action.reason
                    if isinstance(action, Send):
                        await self._send(socket, action)
                    elif isinstance(action, Renew):
                        self._begin(self._renew())
                if not self._outgoing:
                    if not self.listeners and not await self._wanted_again():
                        return "Nobody listens."
                    await self._clock.wait(self._changed, self._link.deadline())
            return _reason(reader)
        finally:
            reader.cancel()
            await asyncio.wait({reader})

    async def _wanted_again(self) -> bool:
        await self._clock.wait(self._changed, self._clock.now() + _LINGER * self._clock.speed)
        return bool(self.listeners)

    async def _read(self, socket: Socket) -> None:
        unshared = 0
        async for frame in socket:
            self._do(self._link.received(self._clock.now(), frame))
            unshared += 1
            if unshared == _FRAMES_AT_ONCE:
                # While frames are buffered, waiting for the next one lets nobody else run.
                unshared = 0
                await asyncio.sleep(0)

    async def _send(self, socket: Socket, action: Send) -> None:
        # To a dead peer, sending waits for room that never comes.
        try:
            async with asyncio.timeout(self._endpoint.timing.silence / self._clock.speed):
                await socket.send(action.frame)
        except TimeoutError:
            raise SocketEnded("The live connection takes nothing.") from None

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work, name="reelbase-token")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        try:
            token = await self._endpoint.fresh_token()
        except Exception as error:  # noqa: BLE001  # a provider may raise anything; the next one may be better
            logger.warning("The token of the live connection could not be renewed: %s", error)
            self._do(self._link.not_renewed(self._clock.now()))
        else:
            self._do(self._link.renewed(self._clock.now(), token, self._endpoint.due_in()))
        self._changed.set()

    def _do(self, actions: Iterable[Action], *, warn: bool = True) -> None:
        """Tell listeners at once; leave the rest to the task that serves the socket."""
        for action in actions:
            match action:
                case Row():
                    event = _event(action)
                    for listener in tuple(self.listeners.get(action.source, ())):
                        _tell(listener.row, event)
                case Up():
                    logger.debug("Live: %s.", action.source)
                    for listener in tuple(self.listeners.get(action.source, ())):
                        _tell(listener.up)
                    # There is room for the next join.
                    self._changed.set()
                case Down():
                    if warn:
                        logger.warning(
                            "%s is not live: %s. Going on by polling.", action.source, action.reason
                        )
                    for listener in tuple(self.listeners.get(action.source, ())):
                        _tell(listener.down, action.reason)
                    # It is joined again, sooner than anything else may be due.
                    self._changed.set()
                case Open():
                    pass
                case _:
                    self._outgoing.append(action)
                    self._changed.set()


def _tell(hear: Callable[..., None], *what: object) -> None:
    """One listener's trouble is not that of the others, nor of the connection."""
    try:
        hear(*what)
    except Exception:
        logger.exception("A listener of the live connection failed.")


def _event(row: Row) -> JobEvent | None:
    if row.record is None or row.source.table != "job_events":
        return None
    try:
        return read_event(row.record)
    except ValueError:
        # Cut short, or of another version of the schema: what it tells stands in the log.
        return None


def _reason(reader: "asyncio.Task[None]") -> str:
    with suppress(asyncio.CancelledError):
        error = reader.exception()
        if isinstance(error, ConnectionFailed):
            return error.message
        if error is not None:
            logger.error("The reader of the live connection failed.", exc_info=error)
            return f"{type(error).__name__}: {error}"
    return "the socket is read no more"
