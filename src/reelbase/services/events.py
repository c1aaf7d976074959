"""Operations on the event log."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, consumption, listing, operation, stream
from reelbase.models import AnyJobEvent, EventPage, EventType, JobStatus
from reelbase.realtime.consumption import LEASE_TIME, Consumption, this_instance
from reelbase.realtime.watch import Tail, several


class Events(Service[M]):
    """Read the log of what happened, and follow it live. For one job there is `client.jobs.watch`."""

    @operation
    def read(
        self,
        job_id: UUID,
        *,
        after_seq: int = 0,
        max_events: int = 500,
        types: EventType | Iterable[EventType] | None = None,
    ) -> Call[list[AnyJobEvent]]:
        """The events of a job after a `seq`, in order, at most `max_events` (up to 1000)."""
        return Call(
            "read_job_events",
            {
                "job_id": job_id,
                "after_seq": after_seq,
                "max_events": max_events,
                "types": several(types),
            },
            list[AnyJobEvent],
            reads=("events", job_id),
        )

    @listing
    def read_all(
        self,
        *,
        after: str | None = None,
        types: EventType | Iterable[EventType] | None = None,
        user_id: UUID | None = None,
        status: JobStatus | Iterable[JobStatus] | None = None,
        max_events: int = 500,
    ) -> Call[EventPage]:
        """The events of all jobs that the caller may see, after a cursor or from the beginning.

        In the order of transactions, ending before the oldest one that is still open, so nothing is
        skipped that commits late. `status` is the job's, just after the event.
        """
        return Call(
            "read_events",
            {
                "after": after,
                "types": several(types),
                "user_id": user_id,
                "status": several(status),
                "max_events": max_events,
            },
            EventPage,
            reads=("events",),
        )

    @operation
    def cursor(self) -> Call[str]:
        """Where the log ends now: `read_all(after=…)` and `stream(after=…)` tell what comes later."""
        return Call("get_event_cursor", {}, str, reads=("events",))

    @stream
    def stream(
        self,
        *,
        after: str = "now",
        types: EventType | Iterable[EventType] | None = None,
        user_id: UUID | None = None,
        status: JobStatus | Iterable[JobStatus] | None = None,
    ) -> Tail:
        """Follow the events of all jobs that the caller may see: live, for ever, each once, in order per job.

        Begins now, which is when the first event is waited for or `start` is called; or at the `beginning`
        of the log, or after a cursor, that of another stream for one. `status` is the job's, just after the
        event. Outages of any length are survived. Raises what reading the log raises for a reason that does
        not pass.
        """
        return Tail(after, several(types), user_id, several(status))

    @consumption
    def consumer(
        self,
        name: str,
        *,
        types: EventType | Iterable[EventType] | None = None,
        user_id: UUID | None = None,
        status: JobStatus | Iterable[JobStatus] | None = None,
        start: str = "beginning",
        holder: str | None = None,
        lease_time: timedelta = LEASE_TIME,
        wait: bool = True,
    ) -> Consumption:
        """The log told under a name that keeps its place, to one instance at a time. For backends.

        A new consumer begins at `start`: `beginning`, `now` or a cursor. An instance that falls silent for
        `lease_time`, 1 second to a day, is replaced by the next one; one with the same `holder` takes over
        at once. While another one is active, opening it waits; with `wait=False` it raises Conflict
        (`consumer_busy`).
        """
        return Consumption(
            name,
            types=several(types),
            user_id=user_id,
            status=several(status),
            start=start,
            holder=holder or this_instance(),
            lease_time=lease_time,
            wait=wait,
        )
