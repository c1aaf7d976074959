"""Holding a claim by heartbeats while its job is worked on."""

import asyncio
import logging
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from reelbase.client import AsyncReelbase
from reelbase.errors import ReelbaseError
from reelbase.models import ClaimState, ClaimStatus

T = TypeVar("T")

logger = logging.getLogger(__name__)

_BEATS_PER_LEASE = 3


class ClaimOver(Exception):
    """The work was stopped: the job was called off, lost to others, or a pause was asked for."""

    def __init__(self, state: ClaimState) -> None:
        super().__init__("a pause was asked for" if state.pause_requested else f"it is {state.state}")
        self.pause_requested = state.pause_requested


async def while_held(client: AsyncReelbase, claim: int, lease: timedelta, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and stop it as soon as a heartbeat finds the claim over: ClaimOver.

    When it returns or raises, the work has ended and all it started with it.
    """
    working = asyncio.create_task(work, name=f"reelbase-claim-{claim}")
    beating = asyncio.create_task(_over(client, claim, lease), name=f"reelbase-heartbeat-{claim}")
    try:
        await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClaimOver(beating.result())
        return working.result()
    finally:
        working.cancel()
        beating.cancel()
        await asyncio.gather(working, beating, return_exceptions=True)


async def _over(client: AsyncReelbase, claim: int, lease: timedelta) -> ClaimState:
    """Beat until the claim is over. While the database is away the work goes on: others may be as cut off."""
    while True:
        await asyncio.sleep(lease.total_seconds() / _BEATS_PER_LEASE)
        try:
            state = (await client.queue.heartbeat([claim], lease=lease))[0]
        except ReelbaseError as error:
            if not error.transient:
                raise
            logger.warning("Claim %s: no heartbeat now: %s", claim, error)
            continue
        if state.state is not ClaimStatus.HELD or state.pause_requested:
            return state
