"""Being woken when rows were written, for those who read them on their own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

_BEAT = 0.2


class Nudges(Protocol):
    async def wait(self, seconds: float) -> None:
        """Return when rows were written, or when the live connection came (back), or after `seconds`."""


OpenNudges = Callable[[str], AbstractAsyncContextManager[Nudges]]


class PollingNudges:
    """Nudges where there is no live connection."""

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, _BEAT))


@asynccontextmanager
async def open_nudges(_table: str) -> AsyncIterator[Nudges]:
    """Nudges about a table of the publication."""
    yield PollingNudges()
