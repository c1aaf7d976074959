"""Delivering events: attempts with growing pauses, until one succeeds or there were enough."""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from reelbase.models import JobEvent
from reelbase.realtime.backoff import backoff

logger = logging.getLogger(__name__)

_LONGEST_PAUSE = 300.0
_PAUSES_GROW = 4.0
_LONGEST_ASKED_FOR = 3600.0


class NotDelivered(Exception):
    """An attempt failed. The other side may ask to be left alone for `retry_after` seconds."""

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        # Some of it may be the other side's words, which are to be printed, and kept in the database.
        super().__init__("".join(each if each.isprintable() else "\ufffd" for each in reason))
        self.retry_after = retry_after


class GivenUp(Exception):
    """All attempts failed; the message is the last one's."""

    def __init__(self, reason: str, attempts: int) -> None:
        super().__init__(reason)
        self.attempts = attempts


class Destination(Protocol):
    """Where events go."""

    async def deliver(self, event: JobEvent) -> None:
        """One attempt. Raises NotDelivered, and ReelbaseError when no event can be delivered there."""


class Delivery:
    """At most so many attempts at delivering an event; pauses begin with `first_pause` seconds at most."""

    def __init__(self, destination: Destination, attempts: int, first_pause: float = 1.0) -> None:
        self.destination = destination
        self.attempts = attempts
        self.pausing = asyncio.Event()
        """Set while an event waits for its next attempt."""
        self._first_pause = first_pause

    async def deliver(self, event: JobEvent) -> int:
        """Which attempt succeeded. Raises GivenUp."""
        pauses = backoff(self._first_pause, _LONGEST_PAUSE, _PAUSES_GROW)
        attempt = 1
        while True:
            try:
                await self.destination.deliver(event)
            except NotDelivered as failure:
                told = f"Event {event.id}: attempt {attempt} of {self.attempts} failed, {failure}"
                if attempt == self.attempts:
                    logger.warning("%s; given up.", told)
                    raise GivenUp(str(failure), attempt) from failure
                pause = max(next(pauses), min(failure.retry_after, _LONGEST_ASKED_FOR))
                logger.warning("%s; again in %.1f s.", told, pause)
            else:
                return attempt
            await self._pause(pause)
            attempt += 1

    async def _pause(self, seconds: float) -> None:
        self.pausing.set()
        try:
            await asyncio.sleep(seconds)
        finally:
            self.pausing.clear()


def as_json(value: JobEvent | Mapping[str, Any]) -> bytes:
    """JSON with the fields and spelling of the table: numbers are numbers, times end in Z."""
    return json.dumps(value, default=_plain, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(value: Any) -> Any:
    match value:
        case JobEvent():
            # What the row has not, the event has not.
            return value.model_dump(exclude_unset=True)
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
