"""Telling the database what the worker does, through outages."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from reelbase.errors import Conflict, ReelbaseError
from reelbase.realtime.backoff import backoff

T = TypeVar("T")

logger = logging.getLogger(__name__)

_PATIENCE = 600.0


async def persistently(report: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    """Make a report, again and again while the database cannot be reached, for ten minutes at most.

    None when a repeat is refused as a Conflict: the first attempt had arrived, only its answer was lost.
    Should that be untrue, because somebody ended the job meanwhile, the next report will find out.
    """
    deadline = time.monotonic() + _PATIENCE
    repeated = False
    for delay in backoff(first=0.5, longest=15.0):
        try:
            return await report()
        except Conflict:
            if not repeated:
                raise
            return None
        except ReelbaseError as error:
            if not error.transient or time.monotonic() + delay > deadline:
                raise
            logger.warning("A report is repeated in %.1f s: %s", delay, error)
        repeated = True
        await asyncio.sleep(delay)
    raise AssertionError("backoff never ends")
