"""Order out of disorder: which of the rows that arrive are the next ones. No I/O."""

from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple
from uuid import UUID

from reelbase.errors import EventsMissing
from reelbase.models import EventPage, EventType, Job, JobEvent

_REMEMBERED = 100_000
_HINT = "Read the job and watch from its event_seq."


class Verdict(Enum):
    """What to do with a row that arrived live."""

    DELIVER = auto()
    DROP = auto()
    """Had already, or not wanted."""
    GAP = auto()
    """Rows before it are missing: read the log, which has it too."""


class JobOrder:
    """Where a listener is in one job's log: `seq` counts without gaps, up to the end of the job.

    The end is the change to a terminal status, unless it is known that a retry followed. Of a job that had
    ended before, that is known when all has been read that had happened by then.
    """

    def __init__(self, job_id: UUID, after_seq: int) -> None:
        self._job_id = job_id
        self.last_seq = after_seq
        self.ended = False
        self._known = after_seq
        self._changed_until = 0
        """Up to this seq, ends are not taken for the last change of status."""
        self._over_at = 0
        """Up to where the log goes of a job that had ended before; 0 for one that had not."""
        self._logged = after_seq
        """Up to where the log has to go, since the job says so."""

    @property
    def waiting(self) -> bool:
        return self._known > self.last_seq

    def begin(self, job: Job) -> None:
        """Learn of the job before the first rows are; if there are none, they were asked for after it."""
        self._known = max(self._known, job.event_seq)
        self._logged = job.event_seq
        if job.is_terminal:
            # Perhaps no event will tell of the end, and what is known of now is the rest.
            self._over_at = job.event_seq
            self.ended = self.last_seq >= job.event_seq
        else:
            self._changed_until = job.event_seq

    def offer(self, event: JobEvent) -> Verdict:
        """Judge a row; one that is to be delivered counts as delivered."""
        self._known = max(self._known, event.seq)
        if self.ended or event.seq <= self.last_seq:
            return Verdict.DROP
        # Whether a retry followed an end of before, only the log can tell.
        if event.seq > self.last_seq + 1 or event.seq < self._over_at:
            return Verdict.GAP
        self._take(event)
        return Verdict.DELIVER

    def read(self, rows: list[JobEvent]) -> list[JobEvent]:
        """The rows to deliver, of those that follow `last_seq` in the log. Raises EventsMissing."""
        self._assert_whole(rows)
        if rows:
            self._learn_changes(rows)
        return [event for event in rows if self._is_next(event)]

    def _assert_whole(self, rows: list[JobEvent]) -> None:
        missing = self.last_seq + 1
        if not rows and missing <= self._logged:
            raise EventsMissing(
                f"Job {self._job_id} has no event {missing} in its log, nor any after it.", hint=_HINT
            )
        if rows and rows[0].seq > missing:
            raise EventsMissing(
                f"Job {self._job_id} has no event {missing} in its log, which goes on with {rows[0].seq}.",
                hint=_HINT,
            )

    def _learn_changes(self, rows: list[JobEvent]) -> None:
        last_change = max((event.seq for event in rows if event.type is EventType.JOB_STATUS), default=0)
        self._changed_until = max(self._changed_until, last_change - 1)
        if rows[-1].seq < self._over_at:
            # What follows was there before, and may tell of a retry.
            self._changed_until = max(self._changed_until, rows[-1].seq)
        elif last_change > self._over_at:
            self._over_at = 0

    def _is_next(self, event: JobEvent) -> bool:
        self._known = max(self._known, event.seq)
        if self.ended or event.seq != self.last_seq + 1:
            return False
        self._take(event)
        return True

    def _take(self, event: JobEvent) -> None:
        self.last_seq = event.seq
        # The steps that an end closes are logged before it, with the job's state already terminal.
        is_end = event.type is EventType.JOB_STATUS and event.is_terminal and event.seq > self._changed_until
        self.ended = is_end or event.seq == self._over_at


class _Place(NamedTuple):
    """A place in the whole log."""

    xid: int
    id: int


class _Seen(NamedTuple):
    seq: int
    place: _Place


class LogOrder:
    """Where a listener is in the log of all jobs: each event once, those of a job in order of `seq`.

    The log is read up to a place, and what lies before it is done with. Live rows run ahead of that place,
    job by job: the next one of a job that has been seen is delivered at once, others are held until the log
    has been read past them. Until then it is `waiting`: transactions that began before are still open.
    """

    def __init__(self, cursor: str | None, wanted: Callable[[JobEvent], bool] = lambda _: True) -> None:
        self.cursor = cursor
        self.earlier_cursor = cursor
        """Where the last page began."""
        self.ended = False
        self._wanted = wanted
        self._place = _Place(0, 0)
        self._seen: dict[UUID, _Seen] = {}
        self._held: dict[UUID, JobEvent] = {}

    @property
    def waiting(self) -> bool:
        return bool(self._held)

    def begin(self, cursor: str) -> None:
        """Begin at a cursor, before anything was offered or read."""
        self.cursor = self.earlier_cursor = cursor

    def offer(self, event: JobEvent) -> Verdict:
        """Judge a row; one that is to be delivered counts as delivered."""
        place = _Place(event.xid, event.id)
        if place <= self._place:
            return Verdict.DROP
        seen = self._seen.get(event.job_id)
        if seen is not None and event.seq <= seen.seq:
            return Verdict.DROP
        if event.seq != (1 if seen is None else seen.seq + 1):
            held = self._held.get(event.job_id)
            if held is None or held.seq < event.seq:
                self._held[event.job_id] = event
            return Verdict.GAP
        self._seen[event.job_id] = _Seen(event.seq, place)
        return Verdict.DELIVER if self._wanted(event) else Verdict.DROP

    def read(self, page: EventPage) -> list[JobEvent]:
        """The rows to deliver, of a page that follows `cursor`."""
        delivered: list[JobEvent] = [event for event in page.items if self._is_new(event)]
        for event in delivered:
            self._seen[event.job_id] = _Seen(event.seq, _Place(event.xid, event.id))
        self.earlier_cursor, self.cursor = self.cursor, page.next_cursor
        if page.more:
            self._place = max(self._place, _Place(page.items[-1].xid, page.items[-1].id))
        else:
            self._place = max(self._place, _Place(page.horizon, 0))
        self._release()
        self._forget()
        return delivered

    def _is_new(self, event: JobEvent) -> bool:
        seen = self._seen.get(event.job_id)
        return seen is None or event.seq > seen.seq

    def _release(self) -> None:
        """The log has been read past these: whatever was wanted up to them is delivered."""
        for event in list(self._held.values()):
            place = _Place(event.xid, event.id)
            if place <= self._place:
                del self._held[event.job_id]
                if self._is_new(event):
                    self._seen[event.job_id] = _Seen(event.seq, place)

    def _forget(self) -> None:
        """Jobs that the read part of the log tells all about; their next row has the log read once."""
        if len(self._seen) > _REMEMBERED:
            old = sorted(
                (seen.place, job_id) for job_id, seen in self._seen.items() if seen.place <= self._place
            )
            for _, job_id in old[: len(self._seen) - _REMEMBERED // 2]:
                del self._seen[job_id]
