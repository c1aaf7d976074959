"""What a subscription tells of itself."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from reelbase.realtime.state import ConnectionState

SubscriptionId = NewType("SubscriptionId", UUID)


class SubscriptionKind(StrEnum):
    JOB = "job"
    ALL_JOBS = "all_jobs"
    ACTIVE_JOBS = "active_jobs"
    JOB_STATUS = "job_status"
    TIMELINE = "timeline"
    ELEMENTS = "elements"
    STORAGE = "storage"
    SYSTEM_EVENTS = "system_events"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionInfo:
    """A subscription as it is now, or was at its end."""

    id: SubscriptionId
    kind: SubscriptionKind
    job_id: UUID | None
    since: datetime
    delivered: int
    """Calls of the callback that have come to their end, one for each event."""
    failures: int
    """How many of them raised."""
    last_error: Exception | None
    """What a call, or the stream itself, raised last."""
    queued: int
    """Events that wait for the callback."""
    dropped: int
    """Events that the callback will not get: a newer one took their place, or the subscription ended."""
    rate: float
    """Events a second, over the last minute."""
    lag: float | None
    """How many seconds old the newest event was when it was delivered, by the clocks of both sides."""
    lag_p95: float | None
    """What 95 of 100 events did not exceed, of the last thousand."""
    connection_state: ConnectionState
