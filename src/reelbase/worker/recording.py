"""Writing a step of work into the job's timeline while it runs."""

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from reelbase.client import AsyncReelbase
from reelbase.errors import ReelbaseError
from reelbase.models import Job, ProcessingStep, TimelineStep
from reelbase.worker.errors import RenderError
from reelbase.worker.reporting import persistently
from reelbase.worker.resources import Meter

logger = logging.getLogger(__name__)

# The share of a job's work that each step is, in percent: what encoding takes dwarfs the rest.
_SHARES = {
    ProcessingStep.VALIDATION: 2,
    ProcessingStep.DOWNLOAD: 10,
    ProcessingStep.PROCESSING: 8,
    ProcessingStep.COMPOSITION: 2,
    ProcessingStep.ENCODING: 70,
    ProcessingStep.UPLOAD: 6,
    ProcessingStep.CLEANUP: 2,
}
_REPORT_INTERVAL = 0.25


class StepRecord:
    """A step that is under way: `report` its progress, put into `details` what is worth keeping."""

    def __init__(self, client: AsyncReelbase, row: TimelineStep) -> None:
        self._client = client
        self._row = row
        self._reported_at = 0.0
        self.details: dict[str, Any] = {}

    async def report(self, percent: float) -> None:
        """Record progress, 0 to 100. Reports are left out that follow each other closely, or cannot be made:
        the next one tells more."""
        now = time.monotonic()
        if now - self._reported_at < _REPORT_INTERVAL:
            return
        self._reported_at = now
        with _unless_away():
            await self._client.timeline.update_progress(self._row.id, round(percent, 2))
            await self._report_job(percent)

    async def complete(self, meter: Meter, error: RenderError | None = None) -> None:
        """End the step, well or with the error, with what it cost."""
        await persistently(
            lambda: self._client.timeline.complete(
                self._row.id,
                success=error is None,
                details=self.details,
                cpu_usage=round(meter.cpu_usage, 1),
                memory_usage=meter.memory_usage,
                error_message=None if error is None else error.message,
                error_details=None if error is None else described(error),
            )
        )
        if error is None:
            with _unless_away():
                await self._report_job(100)

    async def _report_job(self, percent: float) -> None:
        """Record the job's progress when this step is at `percent`."""
        before = sum(share for step, share in _SHARES.items() if _precedes(step, self._row.step))
        reached = before + _SHARES[self._row.step] * percent / 100
        await self._client.jobs.update_progress(
            self._row.job_id, round(reached, 2), current_step=self._row.step
        )


@asynccontextmanager
async def recorded(client: AsyncReelbase, job: Job, step: ProcessingStep) -> AsyncIterator[StepRecord]:
    """Start the step and complete it, with cpu and memory; with the error when it fails."""
    record = StepRecord(client, await _started(client, job, step))
    meter = Meter()
    try:
        with meter:
            yield record
    except RenderError as error:
        await record.complete(meter, error)
        raise
    await record.complete(meter)


async def _started(client: AsyncReelbase, job: Job, step: ProcessingStep) -> TimelineStep:
    """The open step; a repeat after a lost answer takes over the one that the first attempt opened."""
    started = await persistently(lambda: client.timeline.start(job.id, step))
    return started or await client.timeline.start(job.id, step)


@contextmanager
def _unless_away() -> Iterator[None]:
    try:
        yield
    except ReelbaseError as error:
        if not error.transient:
            raise
        logger.warning("Progress is not reported now: %s", error)


def described(error: RenderError) -> dict[str, Any]:
    """The error for programs."""
    place = {} if error.element_order is None else {"element_order": error.element_order}
    return {"code": error.code, **place, **error.details}


def _precedes(step: ProcessingStep, other: ProcessingStep) -> bool:
    order = list(_SHARES)
    return order.index(step) < order.index(other)
