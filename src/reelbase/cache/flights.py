"""Many readers, one call: who asks for what is being read already waits for that answer."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any

from reelbase.cache.forking import survives_fork
from reelbase.errors import CallTimeout
from reelbase.execution.deadline import Deadline
from reelbase.execution.transport import closed_meanwhile

Holds = Callable[[tuple[str, ...], int], bool]
"""Whether what was born then still holds now: a reader after a write must not get an answer from before."""


@dataclass(slots=True)
class Flight:
    """A read under way in a thread."""

    tags: tuple[str, ...]
    born: int
    result: "concurrent.futures.Future[Any]" = field(default_factory=concurrent.futures.Future)


class Flights:
    """For threads. Errors are everybody's who waits; an interrupt only of the thread that it meets, and
    the end of a reader's time only that reader's."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Flight] = {}
        survives_fork(self)

    def after_fork(self) -> None:
        # The threads that were reading are not here, and nobody is to wait for them.
        self._lock = threading.Lock()
        self._flights = {}

    def read(
        self,
        key: Hashable,
        tags: tuple[str, ...],
        moment: Callable[[], int],
        fetch: Callable[[int], Any],
        deadline: Deadline[Any],
    ) -> tuple[Any, bool]:
        """The result, and whether it is somebody else's. Raises CallTimeout when that one takes too long."""
        while True:
            with self._lock:
                flight = self._flights.get(key)
                leads = flight is None or not self._holds(flight.tags, flight.born)
                if flight is None or leads:
                    flight = self._flights[key] = Flight(tags, moment())
            if leads:
                return self._lead(key, flight, fetch), False
            try:
                return flight.result.result(deadline.left), True
            except TimeoutError as error:
                raise deadline.missed() from error
            except concurrent.futures.CancelledError:
                continue
            except CallTimeout as error:
                if not _is_own(error):
                    raise

    def _lead(self, key: Hashable, flight: Flight, fetch: Callable[[int], Any]) -> Any:
        try:
            value = fetch(flight.born)
        except Exception as error:
            self._land(key, flight)
            flight.result.set_exception(error)
            raise
        except BaseException:
            self._land(key, flight)
            flight.result.cancel()
            raise
        self._land(key, flight)
        flight.result.set_result(value)
        return value

    def _land(self, key: Hashable, flight: Flight) -> None:
        with self._lock:
            if self._flights.get(key) is flight:
                del self._flights[key]


@dataclass(slots=True)
class AsyncFlight:
    """A read under way in a task of its own, which ends with the last one who waits for it."""

    tags: tuple[str, ...]
    born: int
    task: "asyncio.Task[Any]"
    waiting: int = 0


class AsyncFlights:
    """For the tasks of one event loop. One that is cancelled or out of time leaves the others waiting."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self._flights: dict[Hashable, AsyncFlight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def read(
        self,
        key: Hashable,
        tags: tuple[str, ...],
        moment: Callable[[], int],
        fetch: Callable[[int], Coroutine[Any, Any, Any]],
        deadline: Deadline[Any],
    ) -> tuple[Any, bool]:
        """The result, and whether it is somebody else's. Raises CallTimeout when that one takes too long."""
        while True:
            flight = self._flights.get(key)
            joins = flight is not None and self._holds(flight.tags, flight.born)
            if flight is None or not joins:
                born = moment()
                task = asyncio.create_task(fetch(born), name="reelbase-cache-read")
                flight = self._flights[key] = AsyncFlight(tags, born, task)
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            try:
                async with asyncio.timeout(deadline.left if joins else None):
                    return await self._landed(key, flight), joins
            except TimeoutError as error:
                raise deadline.missed() from error
            except CallTimeout as error:
                if not joins or not _is_own(error):
                    raise

    async def _landed(self, key: Hashable, flight: AsyncFlight) -> Any:
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if flight.task.cancelled() and current is not None and not current.cancelling():
                raise closed_meanwhile() from None
            raise
        finally:
            flight.waiting -= 1
            if flight.waiting == 0:
                flight.task.cancel()
            if (flight.waiting == 0 or flight.task.done()) and self._flights.get(key) is flight:
                del self._flights[key]

    async def close(self) -> None:
        """End all reads under way."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _is_own(error: CallTimeout) -> bool:
    """Whether a reader's time was over: others may have more. The database's limit is everybody's."""
    return error.transient
