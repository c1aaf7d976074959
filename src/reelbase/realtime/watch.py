"""What to follow, as data."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeAlias
from uuid import UUID

from reelbase.models import EventType, JobEvent, JobStatus


@dataclass(frozen=True, slots=True)
class Watch:
    """The events of one job after `after_seq`, to the end of the job."""

    job_id: UUID
    after_seq: int = 0


@dataclass(frozen=True, slots=True)
class Tail:
    """The events of all jobs that the caller may see, for ever; `after` is a cursor, `now` or `beginning`."""

    after: str = "now"
    types: Collection[EventType] | None = None
    user_id: UUID | None = None
    status: Collection[JobStatus] | None = None

    def wants(self, event: JobEvent) -> bool:
        """Whether the filters let an event through; as read_events has them."""
        return (
            (self.types is None or event.type in self.types)
            and (self.user_id is None or event.user_id == self.user_id)
            and (self.status is None or event.status in self.status)
        )


Subject: TypeAlias = Watch | Tail


def several(given: Any) -> Any:
    """What was given, one or several, as a tuple; None stays None."""
    if given is None:
        return None
    # A string is a collection too: of letters.
    return (given,) if isinstance(given, str) else tuple(given)
