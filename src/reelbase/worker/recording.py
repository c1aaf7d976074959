"""Writing what is done for a job into the database while it is done, under the number of the claim on it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from reelbase.client import AsyncReelbase
from reelbase.errors import Conflict
from reelbase.models import ClaimedJob, Element, ProcessingStep, TimelineStep
from reelbase.worker.errors import RenderError, about
from reelbase.worker.reporting import persistently, unless_away
from reelbase.worker.resources import Meter

_REPORT_INTERVAL = 0.25


class StepRecord:
    """A step that is under way: `report` its progress, put into `details` what is worth keeping."""

    def __init__(self, client: AsyncReelbase, claim: int, row: TimelineStep) -> None:
        self._client = client
        self._claim = claim
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
        with unless_away():
            await self._client.timeline.update_progress(self._row.id, round(percent, 2), claim=self._claim)

    async def complete(self, meter: Meter, error: RenderError | None = None) -> None:
        """End the step, well or with the error, with what it cost."""
        try:
            await persistently(
                lambda: self._client.timeline.complete(
                    self._row.id,
                    success=error is None,
                    details=self.details,
                    cpu_usage=round(meter.cpu_usage, 1),
                    memory_usage=meter.memory_usage,
                    error_message=None if error is None else error.message,
                    error_details=None if error is None else described(error),
                    claim=self._claim,
                )
            )
        except Conflict as conflict:
            # Nobody else ends a step under this claim: the first attempt had arrived.
            if conflict.error != "step_completed":
                raise


class JobRecord:
    """What the database is told of one attempt at a job. Raises LeaseLost once the claim is over."""

    def __init__(self, client: AsyncReelbase, claimed: ClaimedJob) -> None:
        self._client = client
        self._claimed = claimed

    @asynccontextmanager
    async def step(self, step: ProcessingStep) -> AsyncIterator[StepRecord]:
        """Start the step and complete it, with cpu and memory; with the error when it fails."""
        claim, job_id = self._claimed.claim, self._claimed.job.id
        # Started again after a lost answer, it is the one that the first attempt opened.
        row = await persistently(lambda: self._client.timeline.start(job_id, step, claim=claim))
        record = StepRecord(self._client, claim, row)
        meter = Meter()
        try:
            with meter:
                yield record
        except RenderError as error:
            await record.complete(meter, error)
            raise
        await record.complete(meter)

    @asynccontextmanager
    async def element(self, element: Element) -> AsyncIterator[None]:
        """Name the element in a RenderError raised inside, and record the error on it."""
        try:
            with about(element):
                yield
        except RenderError as error:
            with unless_away():
                await self._update(element, error_message=error.message)
            raise

    async def downloaded(self, element: Element, local_path: str, source_size: int) -> None:
        with unless_away():
            await self._update(element, downloaded=True, local_path=local_path, source_size=source_size)

    async def processed(self, element: Element) -> None:
        # The report of the download may have been left out.
        downloaded = True if element.source_url else None
        with unless_away():
            await self._update(element, downloaded=downloaded, processed=True)

    async def _update(self, element: Element, **state: Any) -> None:
        await self._client.elements.update_status(element.id, claim=self._claimed.claim, **state)


def described(error: RenderError) -> dict[str, Any]:
    """The error for programs."""
    place = {} if error.element_order is None else {"element_order": error.element_order}
    return {"code": error.code, **place, **error.details}
