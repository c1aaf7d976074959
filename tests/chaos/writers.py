"""Those who change jobs. What they are refused does not matter: the log tells what took effect."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from uuid import UUID

from reelbase import (
    AsyncReelbase,
    CallTimeout,
    Conflict,
    ConnectionFailed,
    JobStatus,
    NotFound,
    ProcessingStep,
    ServerFault,
    StorageOperationType,
    TransactionConflict,
    TransactionFailed,
)
from support import Target, text

REFUSALS = (
    CallTimeout,
    Conflict,
    ConnectionFailed,
    NotFound,
    ServerFault,
    TransactionConflict,
    TransactionFailed,
)
"""What writers have to expect of each other, and of a stack that comes and goes; anything else is a fault."""

LONGEST_PAUSE = 0.1


class Writer:
    """Changes jobs as fast as the pauses let it, until `stop`."""

    def __init__(self, target: Target, jobs: list[UUID], randomness: Random) -> None:
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._client = AsyncReelbase(
            target.url, target.service_role_key, database_url=target.db_url, pool_size=2, timeout=5
        )
        self._jobs = jobs
        self._randomness = randomness
        self._steps: list[UUID] = []
        self._stopping = False

    async def run(self) -> None:
        async with self._client:
            while not self._stopping:
                change = self._randomness.choices(*_CHANGES)[0]
                try:
                    await change(self, self._randomness.choice(self._jobs))
                except REFUSALS as error:
                    self.refused[type(error).__name__] += 1
                else:
                    self.done[change.__name__] += 1
                await asyncio.sleep(self._randomness.uniform(0, LONGEST_PAUSE))

    def stop(self) -> None:
        self._stopping = True

    async def create(self, _job: UUID) -> None:
        await self._client.jobs.create("mp4", 64, 64)

    async def begin(self, job: UUID) -> None:
        await self._client.jobs.update_status(job, JobStatus.PROCESSING)

    async def give_back(self, job: UUID) -> None:
        await self._client.jobs.update_status(job, JobStatus.PENDING)

    async def report(self, job: UUID) -> None:
        await self._client.jobs.update_progress(job, self._randomness.randint(1, 99))

    async def start_step(self, job: UUID) -> None:
        step = await self._client.timeline.start(job, self._randomness.choice(list(ProcessingStep)))
        self._steps = [*self._steps[-20:], step.id]

    async def report_step(self, _job: UUID) -> None:
        if self._steps:
            step = self._randomness.choice(self._steps)
            await self._client.timeline.update_progress(step, self._randomness.randint(1, 99))

    async def complete_step(self, _job: UUID) -> None:
        if self._steps:
            await self._client.timeline.complete(self._steps.pop(), success=self._randomness.random() < 0.8)

    async def add_elements(self, job: UUID) -> None:
        count = self._randomness.randint(1, 3)
        await self._client.elements.add_many(job, [text(f"Line {number}") for number in range(count)])

    async def log_storage(self, job: UUID) -> None:
        await self._client.storage.log(StorageOperationType.UPLOAD, "videos", f"{job}.mp4", job_id=job)

    async def pause(self, job: UUID) -> None:
        await self._client.queue.pause_job(job)

    async def resume(self, job: UUID) -> None:
        await self._client.queue.resume_job(job)

    async def complete(self, job: UUID) -> None:
        await self._client.jobs.update_status(job, JobStatus.COMPLETED, output_url="https://videos/a.mp4")

    async def fail(self, job: UUID) -> None:
        await self._client.jobs.update_status(job, JobStatus.FAILED, error_code="render_failed")

    async def retry(self, job: UUID) -> None:
        await self._client.jobs.retry(job)

    async def batch(self, job: UUID) -> None:
        """Several changes at once, of several jobs."""
        async with self._client.batch() as batch:
            for other in (job, job, self._randomness.choice(self._jobs)):
                batch.storage.log(StorageOperationType.DOWNLOAD, "sources", "a.mp4", job_id=other)

    async def transact(self, job: UUID) -> None:
        """Changes that commit late: others, begun later, are in the log before them."""
        async with self._client.transaction(timeout=5) as tx:
            await tx.storage.log(StorageOperationType.UPLOAD, "videos", "a.mp4", job_id=job)
            await asyncio.sleep(self._randomness.uniform(0, 1))
            other = self._randomness.choice(self._jobs)
            await tx.storage.log(StorageOperationType.UPLOAD, "videos", "b.mp4", job_id=other)


Change = Callable[[Writer, UUID], Awaitable[None]]

_WEIGHTS: dict[Change, float] = {
    Writer.create: 0.5,
    Writer.begin: 10,
    Writer.give_back: 1,
    Writer.report: 30,
    Writer.start_step: 10,
    Writer.report_step: 10,
    Writer.complete_step: 5,
    Writer.add_elements: 5,
    Writer.log_storage: 8,
    Writer.pause: 3,
    Writer.resume: 3,
    Writer.complete: 0.5,
    Writer.fail: 2,
    Writer.retry: 5,
    Writer.batch: 2,
    Writer.transact: 1,
}
_CHANGES = list(_WEIGHTS), list(_WEIGHTS.values())
