"""Reads that share one answer."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from cache_rows import get_job
from reelbase import ClientClosed, ReelbaseError
from reelbase.cache.flights import AsyncFlights, Flights
from reelbase.cache.memory import Memory
from reelbase.execution.deadline import Deadline

TAGS = ("job:1",)


def minute() -> Deadline[Any]:
    return Deadline(get_job(uuid4()), 60)


class Shore:
    """A fetch that lands when told to, and counts its starts."""

    def __init__(self) -> None:
        self.started = 0
        self.landing = asyncio.Event()
        self.error: BaseException | None = None

    async def fetch(self, born: int) -> Any:
        self.started += 1
        await self.landing.wait()
        if self.error is not None:
            raise self.error
        return "result"


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_async__many_readers_make_one_call() -> None:
    memory, shore = Memory(1, 1), Shore()
    flights = AsyncFlights(memory.holds)
    readers = [
        asyncio.create_task(flights.read("key", TAGS, memory.moment, shore.fetch, minute()))
        for _ in range(50)
    ]
    await settled()
    shore.landing.set()

    results = await asyncio.gather(*readers)

    assert shore.started == 1
    assert [joined for _, joined in results].count(False) == 1
    assert flights._flights == {}


async def test_async__one_who_is_cancelled_takes_nobody_along() -> None:
    memory, shore = Memory(1, 1), Shore()
    flights = AsyncFlights(memory.holds)
    readers = [
        asyncio.create_task(flights.read("key", TAGS, memory.moment, shore.fetch, minute())) for _ in range(3)
    ]
    await settled()
    readers[0].cancel()
    await settled()
    shore.landing.set()

    results = await asyncio.gather(*readers, return_exceptions=True)

    assert isinstance(results[0], asyncio.CancelledError)
    assert [result[0] for result in results[1:] if isinstance(result, tuple)] == ["result", "result"]
    assert shore.started == 1


async def test_async__the_last_one_to_leave_ends_the_call() -> None:
    memory, shore = Memory(1, 1), Shore()
    flights = AsyncFlights(memory.holds)
    readers = [
        asyncio.create_task(flights.read("key", TAGS, memory.moment, shore.fetch, minute())) for _ in range(3)
    ]
    await settled()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    await settled()

    assert flights._tasks == set()
    assert flights._flights == {}


async def test_async__an_error_is_everybodys_and_is_not_kept() -> None:
    memory, shore = Memory(1, 1), Shore()
    flights = AsyncFlights(memory.holds)
    shore.error = ReelbaseError("no")
    readers = [
        asyncio.create_task(flights.read("key", TAGS, memory.moment, shore.fetch, minute())) for _ in range(3)
    ]
    await settled()
    shore.landing.set()

    results = await asyncio.gather(*readers, return_exceptions=True)
    shore.error = None

    assert [str(result) for result in results] == ["no"] * 3
    assert await flights.read("key", TAGS, memory.moment, shore.fetch, minute()) == ("result", False)


async def test_async__a_reader_after_a_write_asks_anew() -> None:
    memory, shore = Memory(1, 1), Shore()
    flights = AsyncFlights(memory.holds)
    before = asyncio.create_task(flights.read("key", TAGS, memory.moment, shore.fetch, minute()))
    await settled()
    memory.invalidate(TAGS)
    after = asyncio.create_task(flights.read("key", TAGS, memory.moment, shore.fetch, minute()))
    await settled()
    shore.landing.set()
    await asyncio.gather(before, after)

    assert shore.started == 2


async def test_async__closing_tells_who_waits() -> None:
    memory, shore = Memory(1, 1), Shore()
    flights = AsyncFlights(memory.holds)
    reader = asyncio.create_task(flights.read("key", TAGS, memory.moment, shore.fetch, minute()))
    await settled()

    await flights.close()

    with pytest.raises(ClientClosed, match="closed during the call"):
        await reader


def read_in(
    pool: ThreadPoolExecutor, flights: Flights, memory: Memory, fetch: Any, how_many: int
) -> list[Any]:
    return [pool.submit(flights.read, "key", TAGS, memory.moment, fetch, minute()) for _ in range(how_many)]


def test_sync__many_readers_make_one_call() -> None:
    memory = Memory(1, 1)
    flights = Flights(memory.holds)
    started: list[int] = []
    landing = threading.Event()

    def fetch(born: int) -> str:
        started.append(born)
        landing.wait(10)
        return "result"

    with ThreadPoolExecutor(50) as pool:
        first = read_in(pool, flights, memory, fetch, 1)
        while not started:
            pass
        others = read_in(pool, flights, memory, fetch, 49)
        landing.set()
        results = [reader.result() for reader in first + others]

    assert {value for value, _ in results} == {"result"}
    # A thread that came only after the landing asks for itself, as nothing is kept here.
    assert len(started) == [joined for _, joined in results].count(False)


def test_sync__an_interrupt_meets_one_thread_and_the_next_one_asks() -> None:
    memory = Memory(1, 1)
    flights = Flights(memory.holds)
    started: list[int] = []
    landing = threading.Event()

    def fetch(born: int) -> str:
        started.append(born)
        if len(started) == 1:
            landing.wait(10)
            raise KeyboardInterrupt
        return "result"

    with ThreadPoolExecutor(2) as pool:
        (interrupted,) = read_in(pool, flights, memory, fetch, 1)
        while not started:
            pass
        (waiting,) = read_in(pool, flights, memory, fetch, 1)
        while flights._flights and not waiting.running():
            pass
        landing.set()

        assert waiting.result(10)[0] == "result"
        assert isinstance(interrupted.exception(10), KeyboardInterrupt)


def test_sync__an_error_is_everybodys_and_is_not_kept() -> None:
    memory = Memory(1, 1)
    flights = Flights(memory.holds)

    def fail(_born: int) -> str:
        raise ReelbaseError("no")

    with pytest.raises(ReelbaseError, match="no"):
        flights.read("key", TAGS, memory.moment, fail, minute())

    assert flights.read("key", TAGS, memory.moment, lambda _born: "yes", minute()) == ("yes", False)
