"""Waiting until a stream is live, so that nothing of its beginning is measured."""

import asyncio

from reelbase import ConnectionPhase
from reelbase.realtime.stream import AsyncEventStream


async def live(stream: AsyncEventStream) -> None:
    """Wait until rows come by push. Another task has to iterate the stream meanwhile."""
    is_live = asyncio.Event()
    stream.on_connection_state(lambda state: state.phase is ConnectionPhase.LIVE and is_live.set())
    if stream.connection_state.phase is not ConnectionPhase.LIVE:
        await is_live.wait()
