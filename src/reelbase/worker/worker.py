"""The render worker: claims jobs that wait, one at a time, and renders them."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from reelbase.client import AsyncReelbase
from reelbase.errors import LeaseLost, NotFound, ReelbaseError
from reelbase.models import ClaimedJob, Job
from reelbase.realtime.backoff import backoff
from reelbase.worker.errors import PassingRenderError, RenderError
from reelbase.worker.holding import ClaimOver, while_held
from reelbase.worker.pipeline import Pipeline, Rendered, Workplace
from reelbase.worker.recording import described
from reelbase.worker.reporting import persistently

logger = logging.getLogger(__name__)

Report = Callable[[], Coroutine[Any, Any, Job]]

_FAREWELL = 5.0
_LONGEST_REASON = 1000


class Worker:
    """Renders jobs until it is stopped.

    `name` is what people read of it, host and process unless told otherwise. It holds a job by heartbeats;
    when it falls silent for the length of a `lease`, others may take the job. `poll_interval` is seconds
    between looks when nothing waits.
    """

    def __init__(
        self,
        client: AsyncReelbase,
        workplace: Workplace,
        *,
        name: str | None = None,
        lease: timedelta = timedelta(minutes=1),
        poll_interval: float = 1.0,
    ) -> None:
        self._client = client
        self._workplace = workplace
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._lease = lease
        self._poll_interval = poll_interval

    async def run(self, max_jobs: int | None = None) -> int:
        """Claim and render jobs; returns how many once it has worked on `max_jobs`. Cancel it to stop.

        A job that is under way when the worker is cancelled goes back to those that wait.
        Raises PermissionDenied for a client that is no backend's.
        """
        done = 0
        # A worker acts on what it reads, so it reads past the client's cache.
        with self._client.cache.bypass():
            while max_jobs is None or done < max_jobs:
                await self._work_on(await self._next())
                done += 1
        return done

    async def _next(self) -> ClaimedJob:
        """Wait for a job and claim it. A database that is away for a while is waited for."""
        delays = backoff(self._poll_interval)
        while True:
            try:
                if (claimed := await self._claim()) is not None:
                    return claimed
                delays = backoff(self._poll_interval)
                delay = self._poll_interval
            except ReelbaseError as error:
                if not error.transient:
                    raise
                logger.warning("No jobs can be claimed now: %s", error)
                delay = next(delays)
            await asyncio.sleep(delay)

    async def _claim(self) -> ClaimedJob | None:
        claiming = asyncio.ensure_future(self._client.queue.claim(self._name, lease=self._lease))
        try:
            claimed = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            # A request that is under way may yet bring a job; nobody would work on it.
            for unwanted in await _arrived(claiming):
                await self._release(unwanted)
            raise
        return claimed[0] if claimed else None

    async def _work_on(self, claimed: ClaimedJob) -> None:
        """Render the job and tell how that ended, unless it is somebody else's by then."""
        job = claimed.job
        logger.info("Job %s: attempt %s.", job.id, claimed.attempt)
        try:
            ended = await persistently(await self._outcome(claimed))
            logger.info("Job %s: %s.", job.id, ended.status)
        except ClaimOver as over:
            logger.info("Job %s: stopped, %s.", job.id, over)
            if over.pause_requested:
                await self._release(claimed)
        except (LeaseLost, NotFound) as error:
            logger.warning("Job %s: given up. %s", job.id, error)
        except ReelbaseError as error:
            if not error.transient:
                raise
            logger.warning("Job %s: given up, the database is away for too long. %s", job.id, error)
        except asyncio.CancelledError:
            await self._release(claimed)
            raise

    async def _outcome(self, claimed: ClaimedJob) -> Report:
        """Render the job; what is to be reported of it."""
        pipeline = Pipeline(self._client, self._workplace, claimed)
        try:
            async with asyncio.timeout(self._workplace.time_limit):
                return self._completed(
                    claimed, await while_held(self._client, claimed.claim, self._lease, pipeline.run())
                )
        except TimeoutError:
            limit = f"{self._workplace.time_limit:g} seconds"
            return self._failed(claimed, RenderError("time_limit", f"The video was not ready after {limit}."))
        except RenderError as error:
            logger.warning("Job %s: %s", claimed.job.id, error.message)
            return self._failed(claimed, error)
        except (ClaimOver, LeaseLost, NotFound):
            raise
        except Exception as error:
            if isinstance(error, ReelbaseError) and error.transient:
                raise
            logger.exception("Job %s: failed unexpectedly.", claimed.job.id)
            reason = f"The worker failed: {error}"[:_LONGEST_REASON]
            return self._failed(claimed, PassingRenderError("worker_error", reason))

    def _completed(self, claimed: ClaimedJob, result: Rendered) -> Report:
        return lambda: self._client.queue.complete(
            claimed.job.id,
            claimed.claim,
            output_url=result.path.resolve().as_uri(),
            output_size=result.media.size_bytes,
            actual_duration=None if result.duration is None else round(result.duration, 3),
        )

    def _failed(self, claimed: ClaimedJob, error: RenderError) -> Report:
        return lambda: self._client.queue.fail(
            claimed.job.id,
            claimed.claim,
            error.code,
            error.message,
            error_details=described(error),
            retryable=error.transient,
        )

    async def _release(self, claimed: ClaimedJob) -> None:
        """Let another worker have the job; when the database is away, for a few seconds at most."""
        job_id = claimed.job.id
        try:
            async with asyncio.timeout(_FAREWELL):
                await persistently(lambda: self._client.queue.release(job_id, claimed.claim))
        except (LeaseLost, NotFound) as error:
            logger.info("Job %s: nothing to give back. %s", job_id, error)
        except (ReelbaseError, TimeoutError) as error:
            logger.warning("Job %s: could not be given back, its lease will expire. %s", job_id, error)
        else:
            logger.info("Job %s: given back.", job_id)


async def _arrived(claiming: asyncio.Future[list[ClaimedJob]]) -> list[ClaimedJob]:
    """What a request brought that was under way when the worker was told to stop."""
    await asyncio.wait({claiming}, timeout=_FAREWELL)
    if not claiming.done() or claiming.cancelled() or claiming.exception() is not None:
        return []
    return claiming.result()
