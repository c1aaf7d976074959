"""Operations on the event log."""

from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation
from reelbase.models import JobEvent


class Events(Service[M]):
    """Read the log of what happened. To follow it live, use `client.jobs.watch`."""

    @operation
    def read(self, job_id: UUID, *, after_seq: int = 0, max_events: int = 500) -> Call[list[JobEvent]]:
        """The events of a job after a `seq`, in order, at most `max_events` (up to 1000)."""
        return Call(
            "read_job_events",
            {"job_id": job_id, "after_seq": after_seq, "max_events": max_events},
            list[JobEvent],
            reads=("events", job_id),
        )
