"""The log of all jobs as the database keeps it, in memory: transactions, locks, horizons.

What supabase/migrations/20261120001000_job_events.sql does, as far as listeners can tell: `seq` counts
without gaps in the order of commits, an event goes by the number of its transaction or of the job's newest
event if that is greater, and a read ends before the oldest transaction that is still open.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from reelbase.models import EventPage, EventType, JobEvent, JobStatus

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)

Wants = Callable[[JobEvent], bool]


@dataclass
class Transaction:
    xid: int
    events: list[JobEvent] = field(default_factory=list)

    @property
    def jobs(self) -> set[UUID]:
        """The jobs whose rows it has locked."""
        return {event.job_id for event in self.events}


class LogModel:
    def __init__(self) -> None:
        self.log: list[JobEvent] = []
        """What is committed, in the order of commits."""
        self.open: list[Transaction] = []
        self.newest: list[JobEvent] = []
        """What was committed last."""
        self._xid = self._id = 0

    def begin(self) -> Transaction:
        self._xid += 1
        self.open.append(Transaction(self._xid))
        return self.open[-1]

    def locked(self, job: UUID, by: Transaction) -> bool:
        return any(job in other.jobs for other in self.open if other is not by)

    def write(
        self,
        transaction: Transaction,
        job: UUID,
        type_: EventType = EventType.JOB_PROGRESS,
        status: JobStatus = JobStatus.PROCESSING,
    ) -> JobEvent:
        """Append an event to a job's log; nobody else may have the job locked."""
        before = [event for event in [*self.log, *transaction.events] if event.job_id == job]
        self._id += 1
        event = JobEvent.model_construct(
            id=self._id,
            xid=max(transaction.xid, before[-1].xid if before else 0),
            job_id=job,
            user_id=None,
            seq=len(before) + 1,
            type=type_,
            status=status,
            is_terminal=status is JobStatus.COMPLETED,
            progress_percentage=Decimal(0),
            current_step=None,
            data={},
            created_at=_MOMENT,
        )
        transaction.events.append(event)
        return event

    def commit(self, transaction: Transaction) -> None:
        self.open.remove(transaction)
        self.log += transaction.events
        self.newest = transaction.events

    def roll_back(self, transaction: Transaction) -> None:
        self.open.remove(transaction)

    def append(self, job: UUID, type_: EventType = EventType.JOB_PROGRESS) -> JobEvent:
        """An event of a transaction of its own."""
        transaction = self.begin()
        event = self.write(transaction, job, type_)
        self.commit(transaction)
        return event

    @property
    def horizon(self) -> int:
        return min((transaction.xid for transaction in self.open), default=self._xid + 1)

    @property
    def end(self) -> str:
        """As get_event_cursor."""
        return f"{self.horizon}:0"

    def after(self, cursor: str | None) -> list[JobEvent]:
        """All that is committed and lies after a cursor, in the order of the log."""
        place = _place(cursor)
        return sorted((e for e in self.log if (e.xid, e.id) > place), key=lambda e: (e.xid, e.id))

    def read_all(self, cursor: str | None, wants: Wants, limit: int) -> EventPage:
        """As read_events."""
        horizon = self.horizon
        items = [e for e in self.after(cursor) if e.xid < horizon and wants(e)][:limit]
        more = len(items) == limit
        onward = (items[-1].xid, items[-1].id) if more else max((horizon, 0), _place(cursor))
        return EventPage.model_construct(
            items=tuple(items), next_cursor=f"{onward[0]}:{onward[1]}", more=more, horizon=horizon
        )

    def read_job(self, job: UUID, after_seq: int, limit: int) -> list[JobEvent]:
        """As read_job_events."""
        return [e for e in self.log if e.job_id == job and e.seq > after_seq][:limit]


def _place(cursor: str | None) -> tuple[int, int]:
    xid, _, number = (cursor or "0:0").partition(":")
    return int(xid), int(number)


def in_order_of_seq(events: Sequence[JobEvent]) -> bool:
    """Whether those of each job come in the order of their seq, none twice."""
    newest: dict[UUID, int] = {}
    for event in events:
        if event.seq <= newest.get(event.job_id, 0):
            return False
        newest[event.job_id] = event.seq
    return True
