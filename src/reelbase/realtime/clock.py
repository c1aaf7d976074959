"""Time as the feed sees it, so that a test can let ten minutes pass in six seconds."""

import asyncio
import contextlib
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds that pass `speed` times as fast as real ones."""

    speed: float = 1.0

    def now(self) -> float:
        return time.monotonic() * self.speed

    async def wait(self, event: asyncio.Event, until: float | None) -> None:
        """Until the event is set or the time has come, whichever is first."""
        seconds = None if until is None else max(0.0, until - self.now()) / self.speed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
