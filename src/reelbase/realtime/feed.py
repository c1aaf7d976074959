"""Following a job: the log for certainty, live rows for speed."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from reelbase.errors import ReelbaseError
from reelbase.execution.call import Call
from reelbase.models import Job, JobEvent
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

    Raises what reading the log raises for a reason that does not pass, such as NotFound.
    """
    sequence = Sequence(watch.after_seq)
    # Read once before connecting: a job that does not exist or has ended needs no connection.
    async for event in _from_log(watch, carry, sequence):
        counts.read += 1
        yield event
    if await _is_over(watch, carry, sequence):
        return
    async with live:
        while not sequence.ended:
            row = await live.next()
            verdict = Verdict.GAP if row is None else sequence.offer(row)
            if verdict is Verdict.DELIVER and row is not None:
                counts.pushed += 1
                yield row
            elif verdict is Verdict.GAP:
                async for event in _through_outage(_from_log(watch, carry, sequence)):
                    counts.read += 1
                    yield event


async def _from_log(watch: Watch, carry: Carry, sequence: Sequence) -> AsyncGenerator[JobEvent, None]:
    while not sequence.ended:
        page: list[JobEvent] = await carry(_read(watch, sequence.last_seq))
        for event in page:
            if sequence.offer(event) is Verdict.DELIVER:
                yield event
        if len(page) < _PAGE:
            return


async def _through_outage(events: AsyncGenerator[JobEvent, None]) -> AsyncGenerator[JobEvent, None]:
    """The events; a failure that passes ends them early, the next beat reads again."""
    try:
        async for event in events:
            yield event
    except ReelbaseError as error:
        if not error.transient:
            raise
        logger.warning("The event log cannot be read now: %s", error)


async def _is_over(watch: Watch, carry: Carry, sequence: Sequence) -> bool:
    """Whether the job had ended before `after_seq`: then no event will tell."""
    if sequence.ended:
        return True
    job: Job = await carry(Call("get_job", {"job_id": watch.job_id}, Job, reads=("job", watch.job_id)))
    return job.is_terminal and job.event_seq <= sequence.last_seq


def _read(watch: Watch, after_seq: int) -> Call[list[JobEvent]]:
    return Call(
        "read_job_events",
        {"job_id": watch.job_id, "after_seq": after_seq, "max_events": _PAGE},
        list[JobEvent],
        reads=("events", watch.job_id),
    )
