"""Keeping a live connection: one session after another, for ever, until it is closed."""

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Self

from reelbase.errors import ConnectionFailed
from reelbase.models import JobEvent
from reelbase.realtime.backoff import backoff
from reelbase.realtime.channel import RealtimeEndpoint, joined

logger = logging.getLogger(__name__)

_QUEUE_LENGTH = 1000


class LiveRows:
    """Rows as Realtime brings them: at most once, in any order, with interruptions.

    `next` tells a row, or None when it is time to read the log: after each (re)connection, after rows
    were dropped because the reader is slow, and when the beat is over.
    """

    def __init__(
        self, endpoint: RealtimeEndpoint, filter_: str, *, live_beat: float, polling_beat: float
    ) -> None:
        self._endpoint = endpoint
        self._filter = filter_
        self._beats = {True: live_beat, False: polling_beat}
        self._rows: asyncio.Queue[JobEvent | None] = asyncio.Queue(_QUEUE_LENGTH)
        self._task: asyncio.Task[None] | None = None
        self.is_live = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._keep_connected(), name=f"reelbase-live-{self._filter}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def next(self) -> JobEvent | None:
        """The next row, or None: read the log."""
        try:
            async with asyncio.timeout(self._beats[self.is_live]):
                return await self._rows.get()
        except TimeoutError:
            return None

    async def _keep_connected(self) -> None:
        delays = backoff()
        while True:
            was_live = False
            try:
                async with joined(self._endpoint, self._filter, self._deliver) as channel:
                    was_live = self.is_live = True
                    self._resync()
                    await channel.ended
            except ConnectionFailed as error:
                logger.warning("%s Going on by polling.", error)
            finally:
                self.is_live = False
            if was_live:
                delays = backoff()
            self._resync()
            await asyncio.sleep(next(delays))

    def _deliver(self, event: JobEvent) -> None:
        try:
            self._rows.put_nowait(event)
        except asyncio.QueueFull:
            self._resync()

    def _resync(self) -> None:
        """Forget what waits and have the log read: it holds all of it."""
        while not self._rows.empty():
            self._rows.get_nowait()
        self._rows.put_nowait(None)
