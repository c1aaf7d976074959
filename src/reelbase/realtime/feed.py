"""Following a job: the log for certainty, live rows for speed."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from reelbase.errors import EventsMissing, ReelbaseError
from reelbase.execution.call import Call
from reelbase.models import AnyJobEvent, Job, JobEvent
from reelbase.realtime.live import LiveRows
from reelbase.realtime.sequence import Sequence, Verdict
from reelbase.realtime.watch import Watch

logger = logging.getLogger(__name__)

_PAGE = 500

Carry = Callable[[Call[Any]], Awaitable[Any]]


@dataclass(slots=True)
class Counts:
    """How many events came which way."""

    pushed: int = 0
    read: int = 0


async def follow(
    watch: Watch, carry: Carry, live: LiveRows, counts: Counts
) -> AsyncGenerator[JobEvent, None]:
    """Every event of the watched job once, in order of `seq`, to the job's end.

    Raises what the first read of the log raises; later on, only what does not pass, such as NotFound,
    and EventsMissing when the log has lost rows.
    """
    sequence = Sequence(watch.after_seq)
    # Read once before connecting: a job that does not exist or has ended needs no connection.
    page = await _page(watch, carry, sequence)
    if not page and await _is_over(watch, carry, sequence):
        return
    for event in page:
        counts.read += 1
        yield event
    if sequence.ended:
        return
    async with live:
        while not sequence.ended:
            row = await live.next()
            verdict = Verdict.GAP if row is None else sequence.offer(row)
            if verdict is Verdict.DELIVER and row is not None:
                counts.pushed += 1
                yield row
            elif verdict is Verdict.GAP:
                async for event in _caught_up(watch, carry, sequence):
                    counts.read += 1
                    yield event


async def _caught_up(watch: Watch, carry: Carry, sequence: Sequence) -> AsyncGenerator[JobEvent, None]:
    """What the log holds by now. A failure that passes ends it early; the next beat reads again."""
    try:
        while page := await _page(watch, carry, sequence):
            for event in page:
                yield event
    except ReelbaseError as error:
        if not error.transient:
            raise
        logger.warning("The event log cannot be read now: %s", error)


async def _page(watch: Watch, carry: Carry, sequence: Sequence) -> list[JobEvent]:
    """The next events of the log; none when the listener has them all, or the job has ended."""
    if sequence.ended:
        return []
    rows: list[JobEvent] = await carry(_read(watch, sequence.last_seq))
    events = [event for event in rows if sequence.offer(event) is Verdict.DELIVER]
    if rows and not events:
        wanted = sequence.last_seq + 1
        raise EventsMissing(
            f"Job {watch.job_id} has no event {wanted} in its log, which goes on with {rows[0].seq}.",
            hint="Read the job and watch from its event_seq.",
        )
    return events


async def _is_over(watch: Watch, carry: Carry, sequence: Sequence) -> bool:
    """Whether the job had ended before `after_seq`: then no event will tell."""
    job: Job = await carry(Call("get_job", {"job_id": watch.job_id}, Job, reads=("job", watch.job_id)))
    return job.is_terminal and job.event_seq <= sequence.last_seq


def _read(watch: Watch, after_seq: int) -> Call[list[AnyJobEvent]]:
    return Call(
        "read_job_events",
        {"job_id": watch.job_id, "after_seq": after_seq, "max_events": _PAGE},
        list[AnyJobEvent],
        reads=("events", watch.job_id),
    )
