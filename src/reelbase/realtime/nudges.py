"""Nudges: for those who read a table themselves and only want to know when it is worth it."""

import asyncio
from datetime import UTC, datetime

from reelbase.models import JobEvent
from reelbase.realtime.clock import Clock
from reelbase.realtime.state import ConnectionPhase, ConnectionState

_POLLING_SECONDS = 1.0


class Nudges:
    """A listener that wakes whoever waits. How many rows there were, it does not say: the table does."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = asyncio.Event()
        self._is_up = False
        self.connection_state = _state(ConnectionPhase.CONNECTING, "the live connection is not up yet")

    async def wait(self, seconds: float = 10.0) -> bool:
        """Until rows were written, or the live connection came up, or so many seconds have passed.

        Whether there was anything but the time.
        Without a live connection one second is the longest.
        """
        if not self._is_up:
            seconds = min(seconds, _POLLING_SECONDS)
        await self._clock.wait(self._changed, self._clock.now() + seconds)
        nudged = self._changed.is_set()
        self._changed.clear()
        return nudged

    def up(self) -> None:
        self._is_up = True
        self.connection_state = _state(ConnectionPhase.LIVE, "rows come by push")
        self._changed.set()

    def down(self, reason: str) -> None:
        self._is_up = False
        self.connection_state = _state(ConnectionPhase.POLLING, reason)
        # Whoever waits goes on at the beat of those without a live connection.
        self._changed.set()

    def row(self, event: JobEvent | None) -> None:
        self._changed.set()


def _state(phase: ConnectionPhase, reason: str) -> ConnectionState:
    return ConnectionState(phase, reason, datetime.now(UTC))
