"""Consumers: the log told to one instance at a time, from where it has committed."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from reelbase.errors import ClientClosed, LeaseLost, ReelbaseError
from reelbase.execution.transport import closed_before
from reelbase.models import AnyJobEvent, EventConsumer, EventPage, JobEvent
from reelbase.realtime.background import BackgroundLoop, until_closed
from reelbase.realtime.backoff import backoff, passes
from reelbase.realtime.consumption import Consumption
from reelbase.realtime.lease import Lease, acquire
from reelbase.realtime.nudges import Nudges
from reelbase.realtime.stream import Carry
from reelbase.realtime.tasks import Kept, is_cancelled
from reelbase.realtime.told import Told

T = TypeVar("T")

logger = logging.getLogger(__name__)

_SHORTEST_BEAT = 0.05
_LONGEST_BEAT = 10.0
_BETWEEN_READS = 0.1
"""Seconds, when there was nothing: a nudge for each of many events should not be a read for each."""


@dataclass(frozen=True, slots=True)
class _Holding:
    """A lease with what lives as long as it does."""

    lease: Lease
    nudges: Nudges
    reading: Kept[None]
    seeing: Kept[None]
    ending: contextlib.AsyncExitStack


class AsyncConsumer:
    """A named reader of the log of all jobs; `async with` makes it the one active instance.

    Iterating tells each event in the order of the log, without end, from the committed place on; `commit`
    says up to where all is done. `run` does both for a handler. What was told and not committed is told
    again, to the next instance or after the next start: at least once.

    Outages of any length are waited out. Iterating raises LeaseLost when others took the lease, or
    `client.consumers.seek` ended it.
    """

    def __init__(
        self,
        consumption: Consumption,
        carry: Carry,
        nudges: Callable[[], AbstractAsyncContextManager[Nudges]],
        seen: Callable[[JobEvent], Awaitable[None]] | None = None,
    ) -> None:
        """`nudges` tell when the log is worth reading; `seen` is awaited before an event is told."""
        self._consumption = consumption
        self._carry = carry
        self._nudges = nudges
        self._seen = seen
        self._holding: _Holding | None = None
        self._over = asyncio.Event()
        """Set by `stop` and at the end."""
        self._stopped = False
        """Whether `stop` was called, and it has not come to its end since."""
        self._retired = False
        self._delays = backoff()
        self._losses = backoff(1.0, 5.0)
        self._beat = _SHORTEST_BEAT

    @property
    def name(self) -> str:
        return self._consumption.name

    @property
    def is_open(self) -> bool:
        """Whether this is the active instance, as far as it knows."""
        return self._holding is not None

    @property
    def state(self) -> EventConsumer:
        """The consumer as it was when it was acquired, or something was committed last."""
        return self._held().lease.row

    async def __aenter__(self) -> Self:
        if self._retired:
            raise closed_before()
        if not self._stopped:
            self._over.clear()
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyJobEvent:
        while not self._over.is_set():
            holding = self._held()
            lease = holding.lease
            if lease.lost.done():
                lease.lost.result()
            try:
                if not lease.is_certain:
                    await self._unless_over(lease.certain())
                elif (event := lease.told.ahead) is not None:
                    await self._see(event, holding)
                    lease.told.tell()
                    return event
                else:
                    await holding.reading.result(partial(self._read_on, lease.told, holding.nudges))
            except asyncio.CancelledError:
                if is_cancelled() or not self._over.is_set():
                    raise
        raise StopAsyncIteration

    async def commit(self, event: JobEvent) -> None:
        """Say that the event and all before it are done with. Returns when that is so.

        One that is committed already changes nothing. Raises LeaseLost.
        """
        await self._held().lease.commit(event.id)

    async def dead_letter(self, event: JobEvent, *, attempts: int, error: str) -> None:
        """Give the event up: keep it with the reason, and commit it with all before it. Raises LeaseLost.

        `client.consumers.dead_letters` lists what is kept.
        """
        await self._held().lease.bury(event.id, attempts, error)

    async def run(self, handler: Callable[[AnyJobEvent], Awaitable[object]]) -> None:
        """Handle each event, and commit it when the handler has returned; until cancelled or stopped.

        Commits are gathered: after 100 events or a second, whichever is first, and whenever no event
        waits. What the handler raises ends this; its event is not committed, and the next run begins with
        it. When the lease is lost, the handler is cancelled, and the consumer acquired again.
        """
        async with self._opened():
            while True:
                try:
                    event = await self.next_handed()
                except StopAsyncIteration:
                    return
                lease = self._held().lease
                try:
                    await _raced(_handled(handler, event), lease.lost)
                except BaseException as error:
                    # The handler may have lost a lease of its own: that of a job.
                    if isinstance(error, LeaseLost) and lease.lost.done():
                        continue
                    self.failed(event)
                    raise
                self.handled(event)

    def stop(self) -> None:
        """End the iteration, or `run`, when the event at hand is done with.

        What has not begun yet ends at once. Opened again afterwards, the consumer goes on.
        """
        self._stopped = True
        self._over.set()

    async def aclose(self) -> None:
        """Commit what `run` has handled, and give the lease up; iterating ends. Harmless when done twice.

        It can be opened again, until the client is closed.
        """
        self._stopped = False
        self._over.set()
        await self._close()

    async def retire(self) -> None:
        """As the client does at its end: `aclose` for good."""
        self._retired = True
        await self.aclose()

    async def next_handed(self) -> AnyJobEvent:
        """The next event, however often the lease is lost. For `run`."""
        while True:
            try:
                return await anext(self)
            except LeaseLost as error:
                logger.warning("Consumer %s: acquiring it again. %s", self.name, error)
            await self._close()
            # Two instances that call themselves the same would take it from each other at once.
            await self._unless_over(asyncio.sleep(next(self._losses)))
            await self._open()

    def handled(self, event: JobEvent) -> None:
        """Have the event committed soon, with all before it, unless this was closed meanwhile. For `run`."""
        if self._holding is not None:
            lease = self._holding.lease
            lease.note(event.id, soon=lease.told.ahead is None)

    def failed(self, event: AnyJobEvent) -> None:
        """Have the event told again, unless it is committed all the same. For `run`."""
        if self._holding is not None:
            self._holding.lease.told.take_back(event)

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        if self._holding is not None:
            yield
            return
        async with self:
            yield

    async def _open(self) -> None:
        if self._holding is not None:
            raise RuntimeError(f"The consumer {self.name} is open already.")
        lease = await self._acquired()
        if lease is None:
            return
        async with contextlib.AsyncExitStack() as ending:
            ending.push_async_callback(lease.end)
            keeping = asyncio.create_task(lease.keep(), name=f"reelbase-consumer-{self.name}")
            ending.push_async_callback(_ended, keeping)
            nudges = await ending.enter_async_context(self._nudges())
            reading: Kept[None] = Kept("reelbase-consumer-log")
            seeing: Kept[None] = Kept("reelbase-consumer-event")
            ending.push_async_callback(reading.aclose)
            ending.push_async_callback(seeing.aclose)
            self._holding = _Holding(lease, nudges, reading, seeing, ending.pop_all())

    async def _acquired(self) -> Lease | None:
        acquiring = asyncio.create_task(
            acquire(self._carry, self._consumption), name="reelbase-consumer-lease"
        )
        try:
            return await self._unless_over(acquiring)
        except asyncio.CancelledError:
            if acquiring.done() and not acquiring.cancelled() and acquiring.exception() is None:
                # It came in the same moment, and nobody would hold it.
                await acquiring.result().end()
            raise

    async def _close(self) -> None:
        holding, self._holding = self._holding, None
        if holding is not None:
            await holding.ending.aclose()

    def _held(self) -> _Holding:
        if self._holding is None:
            raise RuntimeError(f"The consumer {self.name} is not open: use it as a context manager.")
        return self._holding

    async def _see(self, event: AnyJobEvent, holding: _Holding) -> None:
        if (seen := self._seen) is None:
            return

        async def see() -> None:
            await seen(event)

        await holding.seeing.result(see)

    async def _read_on(self, told: Told, nudges: Nudges) -> None:
        """Read the next page; when there is none yet, or the database is away, wait for a while."""
        try:
            page: EventPage | None = await self._unless_over(
                self._carry(self._consumption.reading(told.cursor))
            )
        except ReelbaseError as error:
            if not passes(error):
                raise
            logger.warning("Consumer %s: the log cannot be read now: %s", self.name, error)
            await self._unless_over(asyncio.sleep(next(self._delays)))
            return
        if page is None:
            return
        self._delays = backoff()
        told.take(page)
        if page.items or page.more:
            self._beat = _SHORTEST_BEAT
        else:
            await self._wait(nudges)

    async def _wait(self, nudges: Nudges) -> None:
        """Wait for something to be written.

        What a nudge tells of can be read when all transactions before it have ended: soon, mostly.
        """
        await self._unless_over(asyncio.sleep(_BETWEEN_READS))
        nudged = await self._unless_over(nudges.wait(self._beat))
        self._beat = _SHORTEST_BEAT if nudged else min(self._beat * 2, _LONGEST_BEAT)

    async def _unless_over(self, work: Awaitable[T]) -> T | None:
        """What the work returns; None when this is stopped first. Raises what ended the lease."""
        ends = [] if self._holding is None else [self._holding.lease.lost]
        stopped = asyncio.ensure_future(self._over.wait())
        try:
            return await _raced(work, *ends, stopped)
        finally:
            stopped.cancel()


async def _handled(handler: Callable[[AnyJobEvent], Awaitable[object]], event: AnyJobEvent) -> None:
    """Raises a CancelledError only if the running task is cancelled: a run should not end by another's."""
    try:
        await handler(event)
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise RuntimeError("the handler waited for something that was cancelled") from error


async def _raced(work: Awaitable[T], *ends: asyncio.Future[Any]) -> T | None:
    """What the work returns, unless one of the ends comes first: then its result, or what it raises."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        for end in ends:
            if end.done():
                end.result()
        return None
    finally:
        # Not of one that is done: to be cancelled while waiting would lose what it returned.
        if not task.done():
            await _ended(task)


async def _ended(task: asyncio.Future[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class Consumer:
    """The same for synchronous code: the lease is held, and the log read, in the client's background thread.

    A handler runs in the caller's thread. It is not cancelled when the lease is lost: the events that it is
    then told begin with those that are not committed.
    """

    def __init__(self, consumer: AsyncConsumer, loop: BackgroundLoop) -> None:
        self._consumer = consumer
        self._loop = loop
        self._here: AnyJobEvent | None = None
        self._turn = asyncio.Lock()

    @property
    def name(self) -> str:
        return self._consumer.name

    @property
    def state(self) -> EventConsumer:
        """The consumer as it was when it was acquired, or something was committed last."""
        return self._consumer.state

    def __enter__(self) -> Self:
        self._loop.run(self._consumer.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AnyJobEvent:
        return self._next(self._consumer.__anext__)

    def _next(self, following: Callable[[], Coroutine[Any, Any, AnyJobEvent]]) -> AnyJobEvent:
        try:
            self._loop.run(self._fetch(following))
        except (StopAsyncIteration, CancelledError):
            # Cancelled: the client was closed by another thread, and its consumers end with it.
            raise StopIteration from None
        event, self._here = self._here, None
        if event is None:
            # Another thread has stopped it meanwhile.
            raise StopIteration
        return event

    async def _fetch(self, following: Callable[[], Coroutine[Any, Any, AnyJobEvent]]) -> None:
        """Put the next event in its place.

        An interrupted caller may have left one of these behind: it goes first, and what it has put there is
        what the caller gets next. It counts as told, and a later commit would go past it.
        """
        async with self._turn:
            if self._here is None:
                self._here = await following()

    def commit(self, event: JobEvent) -> None:
        """Say that the event and all before it are done with. Returns when that is so.

        One that is committed already changes nothing. Raises LeaseLost.
        """
        self._loop.run(self._consumer.commit(event))

    def dead_letter(self, event: JobEvent, *, attempts: int, error: str) -> None:
        """Give the event up: keep it with the reason, and commit it with all before it. Raises LeaseLost.

        `client.consumers.dead_letters` lists what is kept.
        """
        self._loop.run(self._consumer.dead_letter(event, attempts=attempts, error=error))

    def run(self, handler: Callable[[AnyJobEvent], object]) -> None:
        """Handle each event, and commit it when the handler has returned; until stopped.

        Commits are gathered: after 100 events or a second, whichever is first, and whenever no event
        waits. What the handler raises ends this; its event is not committed, and the next run begins with
        it. When the lease is lost, the consumer is acquired again.
        """
        opened = not self._consumer.is_open
        try:
            if opened:
                self.__enter__()
            while True:
                try:
                    event = self._next(self._consumer.next_handed)
                except (StopIteration, ClientClosed):
                    return
                try:
                    handler(event)
                except BaseException:
                    with until_closed():
                        self._loop.run(self._failed(event))
                    raise
                with until_closed():
                    self._loop.run(self._handled(event))
        finally:
            if opened:
                self.close()

    async def _handled(self, event: JobEvent) -> None:
        self._consumer.handled(event)

    async def _failed(self, event: AnyJobEvent) -> None:
        self._consumer.failed(event)

    def stop(self) -> None:
        """End the iteration, or `run`, when the event at hand is done with. From any thread.

        What has not begun yet ends at once. Opened again afterwards, the consumer goes on.
        """
        with until_closed():
            self._loop.run(self._stop())

    async def _stop(self) -> None:
        self._consumer.stop()
        self._here = None

    def close(self) -> None:
        """Commit what `run` has handled, and give the lease up. Harmless when done twice, and after the
        client's own end. It can be opened again, until the client is closed."""
        with until_closed():
            self._loop.run(self._consumer.aclose())
        self._here = None
