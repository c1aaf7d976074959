"""Telling the database what the worker does, through outages."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from reelbase.errors import ReelbaseError
from reelbase.realtime.backoff import backoff

T = TypeVar("T")

logger = logging.getLogger(__name__)

_PATIENCE = 600.0


async def persistently(report: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Make a report, again and again while the database cannot be reached, for ten minutes at most.

    A repeat may be refused because the first attempt had arrived and only its answer was lost.
    """
    deadline = time.monotonic() + _PATIENCE
    for delay in backoff(first=0.5, longest=15.0):
        try:
            return await report()
        except ReelbaseError as error:
            if not error.transient or time.monotonic() + delay > deadline:
                raise
            logger.warning("A report is repeated in %.1f s: %s", delay, error)
        await asyncio.sleep(delay)
    raise AssertionError("backoff never ends")


@contextmanager
def unless_away() -> Iterator[None]:
    """Make a report that may be left out while the database cannot be reached: a later one tells more."""
    try:
        yield
    except ReelbaseError as error:
        if not error.transient:
            raise
        logger.warning("A report is left out: %s", error)
