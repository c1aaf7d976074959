"""What waits for a callback: so many events at most, and a policy for when there are more."""

import asyncio
from collections.abc import Hashable
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count

from reelbase.errors import SubscriptionOverflow
from reelbase.models import JobEvent, SystemEvent

AnyEvent = JobEvent | SystemEvent


_PATIENCE = 1.0
"""Seconds that a full queue may take longer for events than they took to happen: a burst is over before."""


class Overflow(StrEnum):
    """What happens to events that come faster than the callback takes them."""

    CATCH_UP = "catch_up"
    """They stay in the log and are read from there later: nothing is lost, the callback lags."""
    LATEST = "latest"
    """Of each job only the newest event waits, of system events the newest of each type and metric."""
    FAIL = "fail"
    """The subscription ends with SubscriptionOverflow when its callback has fallen behind by a second."""


class Backlog:
    """A queue with one end to put and one to take, both in the same event loop."""

    def __init__(self, size: int, overflow: Overflow) -> None:
        if size < 1:
            raise ValueError(f"queue_size must be 1 or more, not {size}")
        self._size = size
        self._overflow = Overflow(overflow)
        self._waiting: dict[Hashable, AnyEvent] = {}
        self._numbers = count()
        self._full_since: float | None = None
        """Since when events have had to wait for room."""
        self._first = self._newest = datetime.now(UTC)
        """When the first and the newest of these happened."""
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._finished = False
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, event: AnyEvent) -> None:
        """Have an event wait. Raises SubscriptionOverflow when the policy says so."""
        key = self._key(event)
        if key in self._waiting:
            # In the turn of the one that waited: else a busy job would never have one.
            self._waiting[key] = event
            self.dropped += 1
            return
        if len(self._waiting) < self._size:
            self._full_since = None
        else:
            await self._have_room(event)
        if not self._finished:
            self._waiting[key] = event
            self._filled.set()

    async def _have_room(self, event: AnyEvent) -> None:
        try:
            async with asyncio.timeout_at(self._deadline(event)):
                while len(self._waiting) >= self._size and not self._finished:
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError:
            self.dropped += 1
            raise SubscriptionOverflow(
                f"The callback is slower than its events: {len(self._waiting)} wait.",
                hint="Make it faster, its queue_size larger, or choose another overflow.",
            ) from None

    def _deadline(self, event: AnyEvent) -> float | None:
        """Until when there has to be room. Events of an hour that are read at once may take an hour."""
        if self._overflow is not Overflow.FAIL:
            return None
        if self._full_since is None:
            self._full_since = asyncio.get_running_loop().time()
            self._first = self._newest = event.created_at
        # Of different jobs, some may come late.
        self._newest = max(self._newest, event.created_at)
        return self._full_since + (self._newest - self._first).total_seconds() + _PATIENCE

    async def take(self) -> AnyEvent | None:
        """The next event; None when there will be no more."""
        while not self._waiting and not self._finished:
            self._filled.clear()
            await self._filled.wait()
        if not self._waiting:
            return None
        event = self._waiting.pop(next(iter(self._waiting)))
        self._room.set()
        return event

    def finish(self) -> None:
        """Nothing more will be put; what waits is still to be taken."""
        self._finished = True
        self._filled.set()
        self._room.set()

    def discard(self) -> None:
        """Nothing more will be put, or taken."""
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self.finish()

    def _key(self, event: AnyEvent) -> Hashable:
        if self._overflow is not Overflow.LATEST:
            return next(self._numbers)
        if isinstance(event, JobEvent):
            return event.job_id
        return event.type, str(event.data.get("metric"))
