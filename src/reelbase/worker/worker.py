"""The render worker: takes jobs that wait, one at a time, and renders them."""

import asyncio
import logging
from typing import Any

from reelbase.client import AsyncReelbase
from reelbase.errors import Conflict, InvalidTransition, NotFound, ReelbaseError
from reelbase.models import Job, JobStatus
from reelbase.realtime.backoff import backoff
from reelbase.worker.errors import RenderError
from reelbase.worker.pipeline import Pipeline, Rendered, Workplace
from reelbase.worker.recording import described
from reelbase.worker.reporting import persistently

logger = logging.getLogger(__name__)

_CANDIDATES = 20


class Worker:
    """Renders jobs until it is stopped. `poll_interval` is seconds between looks when nothing waits."""

    def __init__(self, client: AsyncReelbase, workplace: Workplace, *, poll_interval: float = 1.0) -> None:
        self._client = client
        self._workplace = workplace
        self._poll_interval = poll_interval

    async def run(self, max_jobs: int | None = None) -> int:
        """Take and render jobs; returns how many once `max_jobs` are done. Cancel it to stop.

        A job that is under way when the worker is cancelled goes back to those that wait.
        """
        done = 0
        while max_jobs is None or done < max_jobs:
            await self._render(await self._next())
            done += 1
        return done

    async def _next(self) -> Job:
        """Wait for a job and take it. A database that is away for a while is waited for."""
        delays = backoff(self._poll_interval)
        while True:
            try:
                if (job := await self._take()) is not None:
                    return job
                delays = backoff(self._poll_interval)
                delay = self._poll_interval
            except ReelbaseError as error:
                if not error.transient:
                    raise
                logger.warning("No jobs can be taken now: %s", error)
                delay = next(delays)
            await asyncio.sleep(delay)

    async def _take(self) -> Job | None:
        """The oldest job that waits. Of several workers that try, the state machine lets one through."""
        page = await self._client.jobs.list(
            status=[JobStatus.PENDING], oldest_first=True, page_size=_CANDIDATES
        )
        for job in page.items:
            try:
                return await self._client.jobs.update_status(job.id, JobStatus.PROCESSING)
            except (InvalidTransition, NotFound):
                continue
        return None

    async def _render(self, job: Job) -> None:
        logger.info("Job %s: started.", job.id)
        try:
            outcome = await self._outcome(job)
            await persistently(lambda: self._client.jobs.update_status(job.id, **outcome))
            logger.info("Job %s: %s.", job.id, outcome["status"])
        except (Conflict, NotFound) as error:
            # Somebody cancelled, timed out or deleted the job: it is no longer ours to report on.
            logger.warning("Job %s: given up. %s", job.id, error)
        except asyncio.CancelledError:
            logger.info("Job %s: given back.", job.id)
            await asyncio.shield(self._client.jobs.update_status(job.id, JobStatus.PENDING))
            raise

    async def _outcome(self, job: Job) -> dict[str, Any]:
        """Render the job; how it ended, as arguments of `update_status`."""
        try:
            return _completed(await Pipeline(self._client, self._workplace, job).run())
        except RenderError as error:
            logger.warning("Job %s: %s", job.id, error.message)
            return _failed(error)
        except (Conflict, NotFound):
            raise
        except Exception as error:
            logger.exception("Job %s: failed unexpectedly.", job.id)
            return _failed(RenderError("worker_error", f"The worker failed: {error}"))


def _completed(result: Rendered) -> dict[str, Any]:
    return {
        "status": JobStatus.COMPLETED,
        "output_url": result.path.resolve().as_uri(),
        "output_size": result.media.size_bytes,
        "actual_duration": None if result.duration is None else round(result.duration, 3),
    }


def _failed(error: RenderError) -> dict[str, Any]:
    return {
        "status": JobStatus.FAILED,
        "error_code": error.code,
        "error_message": error.message,
        "error_details": described(error),
    }
