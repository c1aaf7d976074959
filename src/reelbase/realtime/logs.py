"""What streams read: the log of one job, with the job at hand, and the log of all."""

import asyncio
import logging

from reelbase.errors import ReelbaseError
from reelbase.models import Job, JobEvent, JobPaused, JobResumed, JobStatusChanged, carrying
from reelbase.realtime.backoff import backoff, passes
from reelbase.realtime.order import JobOrder, LogOrder
from reelbase.realtime.source import Source
from reelbase.realtime.stream import Carry, Log
from reelbase.realtime.watch import Tail, Watch
from reelbase.services.events import Events
from reelbase.services.jobs import Jobs

logger = logging.getLogger(__name__)

_PAGE = 500
_LONGEST_PAUSE = 5.0


class JobLog(Log):
    """The log of one job. Its events carry the job."""

    def __init__(self, watch: Watch, *, broadcast: bool) -> None:
        self.source = Source.of_job(watch.job_id, broadcast=broadcast)
        self.order = JobOrder(watch.job_id, watch.after_seq)
        self._job_id = watch.job_id
        self._job: Job | None = None

    async def read(self, carry: Carry) -> tuple[list[JobEvent], bool]:
        rows = await self._read_rows(carry)
        if self._job is None:
            job = await self._read_job(carry)
            if not rows and job.event_seq > self.order.last_seq:
                # Either they came in between, or the log has lost them.
                rows = await self._read_rows(carry)
            self._job = job
            self.order.begin(job)
        return rows, len(rows) == _PAGE

    async def _read_rows(self, carry: Carry) -> list[JobEvent]:
        rows: list[JobEvent] = await carry(
            Events.read.build(None, self._job_id, after_seq=self.order.last_seq, max_events=_PAGE)
        )
        return rows

    def completed(self, event: JobEvent) -> JobEvent | None:
        if self._job is None:
            return None
        if self._job.event_seq < event.seq:
            if isinstance(event, JobStatusChanged):
                # It changes more columns than it tells: the job is read.
                return None
            self._job = folded(self._job, event)
        return carrying(event, self._job)

    async def complete(self, event: JobEvent, carry: Carry) -> JobEvent:
        self._job = await self._after(event, carry)
        return carrying(event, self._job)

    async def _after(self, event: JobEvent, carry: Carry) -> Job:
        """The job after an event, however long it cannot be read."""
        delays = backoff(longest=_LONGEST_PAUSE)
        while True:
            try:
                return await self._read_job(carry)
            except ReelbaseError as error:
                if not passes(error):
                    # Deleted meanwhile, or hidden; what happened is told all the same.
                    if self._job is None:
                        raise
                    return folded(self._job, event)
                logger.warning("Job %s cannot be read now: %s", self._job_id, error)
            await asyncio.sleep(next(delays))

    async def _read_job(self, carry: Carry) -> Job:
        job: Job = await carry(Jobs.get.build(None, self._job_id))
        return job


def folded(job: Job, event: JobEvent) -> Job:
    """The job after an event, as far as the event tells."""
    changed: dict[str, object] = {
        "status": event.status,
        "is_terminal": event.is_terminal,
        "progress_percentage": event.progress_percentage,
        "current_step": event.current_step,
        "event_seq": event.seq,
    }
    if isinstance(event, JobPaused):
        changed["paused_at"] = event.created_at
    elif isinstance(event, JobResumed):
        changed["paused_at"] = None
    return job.model_copy(update=changed)


class WholeLog(Log):
    """The log of all jobs that the caller may see."""

    def __init__(self, tail: Tail, *, broadcast: bool) -> None:
        # There is a topic for each user, and none for all.
        self.source = Source() if tail.user_id is None else Source.of_user(tail.user_id, broadcast=broadcast)
        self.order = LogOrder(None if tail.after in {"now", "beginning"} else tail.after, tail.wants)
        self._tail = tail

    def cursor(self, *, told: bool) -> str | None:
        return self.order.cursor if told else self.order.earlier_cursor

    async def read(self, carry: Carry) -> tuple[object, bool]:
        if self.order.cursor is None and self._tail.after == "now":
            self.order.begin(await carry(Events.cursor.build(None)))
        page = await carry(
            Events.read_all.build(
                None,
                after=self.order.cursor,
                types=self._tail.types,
                user_id=self._tail.user_id,
                status=self._tail.status,
                max_events=_PAGE,
            )
        )
        return page, page.more
