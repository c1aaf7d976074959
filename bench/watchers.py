"""A thousand watchers in one process: what they weigh, and how far behind they are."""

import asyncio
import random
import statistics
import time
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
from living import live

from reelbase import AsyncReelbase, JobStatus
from reelbase.realtime.stream import AsyncEventStream

WATCHERS = 1000
CHANGES = 500
SECONDS = 10.0


async def watchers(settings: dict[str, str]) -> None:
    """Memory for each watcher, and the way of a change from COMMIT to its watcher."""
    async with AsyncReelbase(settings["API_URL"], settings["SERVICE_ROLE_KEY"]) as client:
        jobs = [await client.jobs.create("mp4", 640, 360) for _ in range(WATCHERS)]
        for job in jobs:
            await client.jobs.update_status(job.id, JobStatus.PROCESSING)
        async with client.jobs.watch(jobs[0].id) as first:  # what the first one needs, all have
            await anext(first)
            before, began = resident(), time.perf_counter()
            streams = {job.id: client.jobs.watch(job.id) for job in jobs}
            arrived: dict[tuple[UUID, Decimal], float] = {}
            tasks = [asyncio.create_task(note(stream, arrived)) for stream in streams.values()]
            await asyncio.gather(*(live(stream) for stream in streams.values()))
            ready, weight = time.perf_counter() - began, resident() - before
            sent = await change(settings["DB_URL"], list(streams))
            await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    lags = sorted(arrived[key] - at for key, at in sent.items())
    pushed = sum(stream.counts.pushed for stream in streams.values())
    print(f"\n{WATCHERS:,} watchers of as many jobs in one process, {CHANGES} changes in {SECONDS:g} s\n")
    print(f"all live after          {ready:7.1f} s")
    print(f"memory for each         {weight / WATCHERS / 1024:7.1f} KiB")
    print(f"commit to watcher, p50  {statistics.median(lags) * 1e3:7.1f} ms")
    print(f"commit to watcher, p99  {lags[int(len(lags) * 0.99)] * 1e3:7.1f} ms")
    print(f"pushed                  {pushed:7} of {len(sent)}")


async def note(stream: AsyncEventStream, arrived: dict[tuple[UUID, Decimal], float]) -> None:
    async for event in stream:
        arrived[event.job_id, event.progress_percentage] = time.perf_counter()


async def change(dsn: str, job_ids: list[UUID]) -> dict[tuple[UUID, Decimal], float]:
    """Raise the progress of jobs, one after the other; when each COMMIT was sent."""
    sent: dict[tuple[UUID, Decimal], float] = {}
    chance = random.Random(1)  # noqa: S311  # which jobs, no more
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as session:
        began = time.perf_counter()
        for n in range(CHANGES):
            job_id, percent = chance.choice(job_ids), Decimal(n + 1) / 10
            await asyncio.sleep(max(0.0, began + n * SECONDS / CHANGES - time.perf_counter()))
            sent[job_id, percent] = time.perf_counter()
            await session.execute("select update_job_progress(%s, %s)", (job_id, percent))
    return sent


def resident() -> int:
    """Bytes of memory that the process has, as Linux counts them."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096
