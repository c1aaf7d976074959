"""A Consumption: which events to follow under which name, as data."""

import os
import secrets
import socket
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.models import EventConsumer, EventPage, EventType, JobStatus

_PAGE = 500
LEASE_TIME = timedelta(seconds=60)


def this_instance() -> str:
    """What tells this instance of a consumer from all others."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Consumption:
    """The events of the log after the place that a consumer has committed; a new one begins at `start`.

    `start` is `beginning`, `now` or a cursor.
    """

    name: str
    types: tuple[EventType, ...] | None = None
    user_id: UUID | None = None
    status: tuple[JobStatus, ...] | None = None
    start: str = "beginning"
    holder: str = field(default_factory=this_instance)
    lease_time: timedelta = LEASE_TIME
    wait: bool = True

    def reading(self, after: str) -> Call[EventPage]:
        return Call(
            "read_events",
            {
                "after": after,
                "types": self.types,
                "user_id": self.user_id,
                "status": self.status,
                "max_events": _PAGE,
            },
            EventPage,
            reads=("events",),
        )

    def acquiring(self, start: str | None) -> Call[EventConsumer]:
        return Call(
            "acquire_event_consumer",
            {"name": self.name, "holder": self.holder, "lease_time": self.lease_time, "start": start},
            EventConsumer,
            idempotent=True,
        )

    def committing(
        self, lease: int, *, event_id: int | None = None, cursor: str | None = None
    ) -> Call[EventConsumer]:
        """Without event and cursor, the lease is held on and no more."""
        return Call(
            "commit_event_consumer",
            {
                "name": self.name,
                "lease": lease,
                "cursor": cursor,
                "lease_time": self.lease_time,
                "event_id": event_id,
            },
            EventConsumer,
            idempotent=True,
        )

    def burying(self, lease: int, event_id: int, attempts: int, error: str) -> Call[EventConsumer]:
        arguments: dict[str, Any] = {
            "name": self.name,
            "lease": lease,
            "event_id": event_id,
            "attempts": attempts,
            "error": error,
            "lease_time": self.lease_time,
        }
        return Call("dead_letter_event", arguments, EventConsumer, idempotent=True)

    def releasing(self, lease: int) -> Call[EventConsumer]:
        return Call("release_event_consumer", {"name": self.name, "lease": lease}, EventConsumer)
