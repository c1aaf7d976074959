"""Consumers in front of a log in memory: what no database can be made to do at the right moment."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from reelbase import JobEvent, read_event
from reelbase.execution.call import Call
from reelbase.models import EventConsumer, EventPage, SystemEventLogPage
from reelbase.realtime import lease as leases
from reelbase.realtime.background import BackgroundLoop
from reelbase.realtime.clock import Clock
from reelbase.realtime.consumer import AsyncConsumer, Consumer
from reelbase.realtime.consumption import Consumption
from reelbase.realtime.nudges import Nudges
from reelbase.realtime.stream import EventStream
from reelbase.realtime.system_events import SystemEventStream, SystemTail
from support import eventually


def an_event(number: int) -> JobEvent:
    return read_event(
        {
            "id": number,
            "xid": "700",
            "job_id": UUID(int=1),
            "user_id": None,
            "seq": number,
            "type": "job.progress",
            "status": "processing",
            "is_terminal": False,
            "progress_percentage": 1,
            "current_step": None,
            "data": {},
            "created_at": "2026-11-20T12:00:00Z",
        }
    )


class Log:
    """Carries calls; the log has three events, or none."""

    def __init__(self, events: int = 3) -> None:
        self.calls: list[str] = []
        self.nudges = Nudges(Clock())
        self.answering = asyncio.Event()
        self.answering.set()
        self._events = tuple(an_event(number) for number in range(1, events + 1))

    async def carry(self, call: Call[Any]) -> Any:
        self.calls.append(call.function)
        await asyncio.sleep(0)
        await self.answering.wait()
        # As if events were written all the time.
        self.nudges.row(None)
        if call.function == "read_events":
            ahead = self._events if call.arguments["after"] == "0" else ()
            return EventPage(items=ahead, next_cursor="3", more=False, horizon=5)
        if call.function == "read_system_events":
            return SystemEventLogPage(items=(), next_cursor="0", more=False)
        return EventConsumer(
            name="x",
            cursor="0",
            lease=1,
            holder="me",
            lease_expires_at=datetime.now(UTC),
            committed_at=None,
        )

    @contextlib.asynccontextmanager
    async def nudged(self) -> AsyncIterator[Nudges]:
        self.nudges.up()
        yield self.nudges

    def consumer(self, seen: Callable[[JobEvent], Awaitable[None]] | None = None) -> AsyncConsumer:
        return AsyncConsumer(Consumption("x"), self.carry, self.nudged, seen)


@pytest.fixture
def loop() -> Iterator[BackgroundLoop]:
    loop = BackgroundLoop()
    yield loop
    loop.close()


# Interrupts


class Interrupt(Exception):
    """What a signal handler raises."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Interrupts the main thread."""

    def ring(*_: object) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, ring)
    yield lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def test_interrupted_consumer__tells_the_next_call_what_the_interrupt_kept_back(
    loop: BackgroundLoop, interrupt: Callable[[], None]
) -> None:
    interrupted: list[int] = []

    async def seen(event: JobEvent) -> None:
        if event.id == 2 and not interrupted:
            interrupted.append(event.id)
            interrupt()

    with Consumer(Log().consumer(seen), loop) as consumer:
        first = next(consumer)
        with pytest.raises(Interrupt):
            next(consumer)
        rest = [next(consumer), next(consumer)]

    assert interrupted == [2]
    assert [event.id for event in [first, *rest]] == [1, 2, 3]


class Events:
    """A stream as AsyncEventStream is: of two that wait at once, both would get the same event."""

    is_ready = False

    def __init__(self) -> None:
        self.cursor = 0

    async def __anext__(self) -> int:
        event = self.cursor + 1
        await asyncio.sleep(0)
        self.cursor = event
        return event


async def test_fetch_that_was_left_behind__shares_no_event_with_the_next(loop: BackgroundLoop) -> None:
    events: Any = Events()
    stream: Any = EventStream(events, loop)

    await asyncio.gather(stream._fetch(None), stream._fetch(1.0))  # no interrupt is so punctual

    assert (list(stream._here), stream.cursor) == ([1], 0)


# Reading


async def test_nudges_without_end__are_not_a_read_each() -> None:
    log = Log(events=0)
    async with log.consumer() as consumer:
        await asyncio.wait({telling := asyncio.create_task(anext(consumer))}, timeout=0.5)
        telling.cancel()
        await asyncio.wait({telling})
    assert 2 <= log.calls.count("read_events") <= 6

    stream = SystemEventStream(SystemTail(after="0"), log.carry, log.nudged)
    await asyncio.wait({following := asyncio.ensure_future(anext(stream))}, timeout=0.5)
    following.cancel()
    await asyncio.wait({following})
    assert 2 <= log.calls.count("read_system_events") <= 6


async def test_short_waits__find_what_was_read_meanwhile() -> None:
    log = Log()
    seen: list[int] = []

    async def see(event: JobEvent) -> None:
        seen.append(event.id)
        await log.answering.wait()

    async with log.consumer(see) as consumer:
        for _ in range(2):
            log.answering.clear()
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(consumer), 0.01)
            log.answering.set()
            assert (await asyncio.wait_for(anext(consumer), 5)).id in {1, 2}

    assert log.calls.count("read_events") == 1
    assert seen == [1, 2]


async def test_wait__ends_when_the_consumer_is_closed_while_it_reads() -> None:
    log = Log()
    async with log.consumer() as consumer:
        log.answering.clear()
        telling = asyncio.ensure_future(anext(consumer))
        await eventually(lambda: _holds("read_events" in log.calls))
        log.answering.set()
        log.answering.clear()
        consumer.stop()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(telling, 5)
        log.answering.set()


# Leases


@pytest.mark.parametrize("turns", range(12))
async def test_consumer__that_is_cancelled_while_it_opens_holds_no_lease(turns: int) -> None:
    log = Log()
    opening = asyncio.create_task(log.consumer().__aenter__())
    for _ in range(turns):
        await asyncio.sleep(0)
    if opening.done():
        return
    opening.cancel()
    await asyncio.wait({opening})

    acquired = log.calls.count("acquire_event_consumer")
    assert log.calls.count("release_event_consumer") == acquired


async def test_lease__that_comes_long_after_nobody_waits_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_FAREWELL", 0.01)
    log = Log()
    log.answering.clear()
    opening = asyncio.create_task(log.consumer().__aenter__())
    await eventually(lambda: _holds(log.calls == ["acquire_event_consumer"]))
    opening.cancel()
    await asyncio.wait({opening})

    log.answering.set()

    await eventually(lambda: _holds("release_event_consumer" in log.calls))


def _holds(condition: object) -> None:
    assert condition


async def test_lease__runs_out_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    consumption = Consumption("x")
    lease = await leases.acquire(log.carry, consumption)
    assert lease.is_certain

    woken_at = time.clock_gettime(time.CLOCK_BOOTTIME) + consumption.lease_time.total_seconds()
    monkeypatch.setattr(time, "clock_gettime", lambda _: woken_at)
    assert not lease.is_certain

    keeping = asyncio.create_task(lease.keep())
    await asyncio.wait_for(lease.certain(), 5)
    keeping.cancel()
    await asyncio.wait({keeping})


# The end of the client


class Slow:
    """Never comes to its end by itself."""

    def __init__(self) -> None:
        self.closing = threading.Event()

    async def aclose(self) -> None:
        self.closing.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("kind", [Consumer, EventStream])
def test_close__is_harmless_while_the_client_is_closed(
    loop: BackgroundLoop, kind: Callable[..., Consumer | EventStream]
) -> None:
    slow = Slow()
    closed = kind(slow, loop)

    def close_client() -> None:
        slow.closing.wait(5)
        loop.close()

    thread = threading.Thread(target=close_client)
    thread.start()
    closed.close()
    thread.join()
    closed.close()
