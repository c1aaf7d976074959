"""Holding a consumer's lease: renewing it, and committing what is done."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable

from reelbase.errors import Conflict, LeaseLost, NotFound, ReelbaseError
from reelbase.execution.call import Call
from reelbase.models import EventConsumer
from reelbase.realtime.backoff import backoff, passes
from reelbase.realtime.consumption import Consumption
from reelbase.realtime.stream import Carry
from reelbase.realtime.told import Place, Told

logger = logging.getLogger(__name__)

_RENEWALS_PER_LEASE = 3
_LONGEST_UNCOMMITTED = 1.0
_MOST_UNCOMMITTED = 100
_TRY_AGAIN = 1.0
_LONGEST_PAUSE = 5.0
_FAREWELL = 5.0
_LONGEST_ERROR = 2000


async def acquire(carry: Carry, consumption: Consumption) -> "Lease":
    """Become the consumer's one active instance; wait for that if the consumption says so.

    Waits while another instance holds the lease and while the database is away. Else raises Conflict
    (`consumer_busy`), or what the call raises.
    """
    name, start = consumption.name, None
    delays = backoff(longest=_LONGEST_PAUSE)
    told_holder = None
    while True:
        began = _now()
        try:
            start = start or await _start(carry, consumption.start)
            row = await _answered(carry, consumption, start)
            return Lease(carry, consumption, row, began)
        except Conflict as error:
            if error.error != "consumer_busy" or not consumption.wait:
                raise
            if told_holder != (told_holder := error.details.get("holder")):
                logger.info("Consumer %s: waiting, it is held by %s.", name, told_holder)
            pause = random.uniform(_TRY_AGAIN / 2, _TRY_AGAIN)  # noqa: S311  # spreads load, guards nothing
        except ReelbaseError as error:
            if not passes(error) or not consumption.wait:
                raise
            logger.warning("Consumer %s: it cannot be acquired now: %s", name, error)
            pause = next(delays)
        await asyncio.sleep(pause)


async def _start(carry: Carry, start: str) -> str | None:
    """The cursor at which a new consumer begins; None is the beginning."""
    if start == "now":
        now: str = await carry(Call("get_event_cursor", {}, str, reads=("events",)))
        return now
    return None if start == "beginning" else start


async def _answered(carry: Carry, consumption: Consumption, start: str | None) -> EventConsumer:
    asking = asyncio.ensure_future(carry(consumption.acquiring(start)))
    try:
        row: EventConsumer = await asyncio.shield(asking)
    except asyncio.CancelledError:
        refusing = asyncio.create_task(_refuse(asking, carry, consumption), name="reelbase-consumer-refusal")
        await asyncio.wait({refusing}, timeout=_FAREWELL)
        raise
    return row


async def _refuse(asking: asyncio.Future[EventConsumer], carry: Carry, consumption: Consumption) -> None:
    """Give up the lease that a request under way may yet bring, as nobody would hold it."""
    with contextlib.suppress(ReelbaseError):
        await carry(consumption.releasing((await asking).lease))


class Lease:
    """A lease that is held, with what was told under it. `keep` renews it and commits what `note` says.

    Calls go one after the other, each of them through outages of any length: nobody else can commit, and
    a lease that has expired is still ours until somebody takes it.
    """

    def __init__(self, carry: Carry, consumption: Consumption, row: EventConsumer, began: float) -> None:
        self.row = row
        self.told = Told(row.cursor)
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Has the reason as its exception when the lease is over, or cannot be held any more."""
        self._carry = carry
        self._consumption = consumption
        self._seconds = consumption.lease_time.total_seconds()
        self._renewed_at = began
        self._renewed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._noted: int | None = None
        self._noted_at = 0.0
        self._notes = 0
        self._woken = asyncio.Event()

    @property
    def is_certain(self) -> bool:
        """Whether nobody else can have taken it, by our own clock."""
        return _now() < self._renewed_at + self._seconds

    async def certain(self) -> None:
        """Wait until the lease has been renewed, if it has run out."""
        while not self.is_certain:
            self._renewed.clear()
            self._woken.set()
            await self._renewed.wait()

    def note(self, event_id: int, *, soon: bool = False) -> None:
        """The event and all before it are done: commit that, `soon` at once, else within a second."""
        if self._noted is None:
            self._noted_at = _now()
        self._noted = event_id
        self._notes = _MOST_UNCOMMITTED if soon else self._notes + 1
        self._woken.set()

    async def keep(self) -> None:
        """Renew and commit when that is due, until the lease is lost."""
        try:
            while not self.lost.done():
                self._woken.clear()
                if (seconds := self._due_in()) > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await self._woken.wait()
                else:
                    await self.settle()
        except Exception as error:  # noqa: BLE001  # whatever it is, whoever waits must learn of it
            self._lose(error)

    def _due_in(self) -> float:
        due = self._renewed_at + self._seconds / _RENEWALS_PER_LEASE
        if self._notes >= _MOST_UNCOMMITTED:
            return 0.0
        if self._noted is not None:
            due = min(due, self._noted_at + _LONGEST_UNCOMMITTED)
        return due - _now()

    async def settle(self) -> None:
        """Commit what was noted, and renew the lease. Returns when that is done."""
        async with self._turn:
            noted, self._noted, self._notes = self._noted, None, 0
            if noted is not None and noted not in self.told:
                noted = None  # committed meanwhile
            try:
                await self._persistently(lambda: self._commit(noted))
            except asyncio.CancelledError:
                self._noted = noted if self._noted is None else self._noted
                raise

    async def commit(self, event_id: int) -> None:
        """Commit the event and all before it. One that is committed already changes nothing."""
        async with self._turn:
            if event_id in self.told:
                await self._persistently(lambda: self._commit(event_id))

    async def bury(self, event_id: int, attempts: int, error: str) -> None:
        """Commit the event as a dead letter. One whose job is gone leaves none."""
        reason = _storable(error)[:_LONGEST_ERROR] or "no reason given"
        async with self._turn:
            await self._persistently(lambda: self._bury(event_id, attempts, reason))

    async def end(self) -> None:
        """Commit what was noted and give the lease up; when the database is away, try for a few seconds."""
        if self.lost.done():
            return
        try:
            async with asyncio.timeout(_FAREWELL):
                if self._noted is not None:
                    await self.settle()
                await self._persistently(lambda: self._carry(self._consumption.releasing(self.row.lease)))
        except LeaseLost as error:
            logger.info("Consumer %s: nothing to give up. %s", self.row.name, error)
        except (ReelbaseError, TimeoutError) as error:
            logger.warning(
                "Consumer %s: its lease could not be given up and will expire. %s", self.row.name, error
            )

    async def _persistently(self, send: Callable[[], Awaitable[EventConsumer]]) -> None:
        """Carry it however long the database is away. Raises what does not pass."""
        delays = backoff(longest=min(_LONGEST_PAUSE, self._seconds / _RENEWALS_PER_LEASE))
        while True:
            began = _now()
            try:
                self.row = await send()
            except ReelbaseError as error:
                if isinstance(error, LeaseLost):
                    self._lose(error)
                if not passes(error):
                    raise
                logger.warning("Consumer %s: nothing can be committed now: %s", self.row.name, error)
                await asyncio.sleep(next(delays))
            else:
                self._renewed_at = began
                self._renewed.set()
                return

    async def _commit(self, event_id: int | None) -> EventConsumer:
        row = await self._send(event_id)
        self.told.committed(event_id)
        return row

    async def _send(self, event_id: int | None) -> EventConsumer:
        """Commit the nearest place that is still there: a deleted job has taken its events with it."""
        gone = set()
        for place in self.told.places(event_id):
            if place.job_id in gone:
                continue
            try:
                return await self._sent(place)
            except NotFound as error:
                if not _is_event(error):
                    raise
                gone.add(place.job_id)
        return await self._sent(Place())

    async def _sent(self, place: Place) -> EventConsumer:
        call = self._consumption.committing(self.row.lease, event_id=place.event_id, cursor=place.cursor)
        row: EventConsumer = await self._carry(call)
        return row

    async def _bury(self, event_id: int, attempts: int, error: str) -> EventConsumer:
        try:
            row: EventConsumer = await self._carry(
                self._consumption.burying(self.row.lease, event_id, attempts, error)
            )
        except NotFound as gone:
            if not _is_event(gone):
                raise
            logger.warning("Consumer %s: event %s is gone with its job.", self.row.name, event_id)
            return await self._commit(event_id)
        self.told.committed(event_id)
        return row

    def _lose(self, error: Exception) -> None:
        if not self.lost.done():
            self.lost.set_exception(error)
            self.lost.exception()  # looked at, so that an end nobody waits for is no warning


def _is_event(error: NotFound) -> bool:
    """Whether it is the event that was not found, and not the consumer."""
    return "event_id" in error.details


def _storable(text: str) -> str:
    """The text without what neither JSON nor the database takes: lone surrogates and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _now() -> float:
    """Seconds that pass while the machine is suspended, too: the lease's do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
