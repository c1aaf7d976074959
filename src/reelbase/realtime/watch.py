"""A Watch: which events to follow, as data."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Watch:
    """The events of one job after `after_seq`, to the end of the job."""

    job_id: UUID
    after_seq: int = 0
