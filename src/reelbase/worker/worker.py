"""The render worker: takes jobs that wait, one at a time, and renders them."""

import asyncio
import logging
from typing import Any
from uuid import UUID

from reelbase.client import AsyncReelbase
from reelbase.errors import Conflict, InvalidTransition, NotFound, PermissionDenied, ReelbaseError
from reelbase.models import Job, JobStatus
from reelbase.realtime.backoff import backoff
from reelbase.worker.errors import RenderError
from reelbase.worker.pipeline import Pipeline, Rendered, Workplace
from reelbase.worker.recording import described
from reelbase.worker.reporting import persistently

logger = logging.getLogger(__name__)

_CANDIDATES = 20
_FAREWELL = 5.0


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
        await self._check_rights()
        done = 0
        while max_jobs is None or done < max_jobs:
            await self._render(await self._next())
            done += 1
        return done

    async def _check_rights(self) -> None:
        """Raises PermissionDenied for a client that sees no jobs but its own, and would wait for ever."""
        nobody = UUID(int=0)
        try:
            await persistently(lambda: self._client.jobs.update_progress(nobody, 0))
        except NotFound:
            return
        except PermissionDenied as error:
            error.hint = "A worker needs the service key, or a token of a service account."
            raise

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
            taking = asyncio.ensure_future(self._client.jobs.update_status(job.id, JobStatus.PROCESSING))
            try:
                return await asyncio.shield(taking)
            except (InvalidTransition, NotFound):
                continue
            except asyncio.CancelledError:
                if await _arrived(taking):
                    await self._give_back(job)
                raise
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
            await self._give_back(job)
            raise

    async def _give_back(self, job: Job) -> None:
        """Let another worker have the job; when the database is away, for a few seconds at most."""
        try:
            async with asyncio.timeout(_FAREWELL):
                await persistently(lambda: self._client.jobs.update_status(job.id, JobStatus.PENDING))
        except (ReelbaseError, TimeoutError) as error:
            logger.warning("Job %s: could not be given back, it stays processing. %s", job.id, error)
        else:
            logger.info("Job %s: given back.", job.id)

    async def _outcome(self, job: Job) -> dict[str, Any]:
        """Render the job; how it ended, as arguments of `update_status`."""
        try:
            async with asyncio.timeout(self._workplace.time_limit):
                return _completed(await Pipeline(self._client, self._workplace, job).run())
        except TimeoutError:
            limit = f"{self._workplace.time_limit:g} seconds"
            return _failed(RenderError("time_limit", f"The video was not ready after {limit}."))
        except RenderError as error:
            logger.warning("Job %s: %s", job.id, error.message)
            return _failed(error)
        except (Conflict, NotFound):
            raise
        except Exception as error:
            logger.exception("Job %s: failed unexpectedly.", job.id)
            return _failed(RenderError("worker_error", f"The worker failed: {error}"))


async def _arrived(taking: asyncio.Future[Job]) -> bool:
    """Whether a job was taken, by a request that was under way when the worker was told to stop."""
    await asyncio.wait({taking}, timeout=_FAREWELL)
    return taking.done() and not taking.cancelled() and taking.exception() is None


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
