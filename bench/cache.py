"""What a cached read costs, beside the same read from the database."""

import asyncio
import time
from uuid import UUID

from measuring import measured, measured_async

from reelbase import AsyncReelbase, Cache, Reelbase
from reelbase.cache import Lifetimes

HITS = 20_000
LONG = Lifetimes(running=3600)


def cache(settings: dict[str, str]) -> None:
    """jobs.get from the memory and from the database, in both modes."""
    url, key = settings["API_URL"], settings["SERVICE_ROLE_KEY"]
    with Reelbase(url, key) as plain, Reelbase(url, key, cache=Cache(lifetimes=LONG)) as cached:
        job_id = plain.jobs.create("mp4", 640, 360, metadata={"campaign": "spring"}).id
        cached.cache.warm([job_id])
        cpu, wall = measured(lambda: plain.jobs.get(job_id))
        rows = {"Reelbase": (cpu, wall, hits(cached, job_id))}
        assert cached.cache.stats().memory.misses == 1
    rows["AsyncReelbase"] = asyncio.run(async_row(url, key, job_id))
    print(f"\nOne jobs.get from the memory of the process, {HITS} times, beside the database\n")
    print(f"{'':16} {'database CPU':>13} {'wall':>10} {'memory':>10} {'CPU / memory':>14}")
    for name, (cpu, wall, hit) in rows.items():
        print(f"{name:16} {cpu * 1e6:10.0f} us {wall * 1e6:7.0f} us {hit * 1e6:7.1f} us {cpu / hit:14.0f}")


def hits(client: Reelbase, job_id: UUID) -> float:
    """CPU seconds that one read from the memory takes; it waits for nothing, so they are all."""
    started = time.process_time()
    for _ in range(HITS):
        client.jobs.get(job_id)
    return (time.process_time() - started) / HITS


async def async_row(url: str, key: str, job_id: UUID) -> tuple[float, float, float]:
    async with (
        AsyncReelbase(url, key) as plain,
        AsyncReelbase(url, key, cache=Cache(lifetimes=LONG)) as cached,
    ):
        await cached.cache.warm([job_id])
        cpu, wall = await measured_async(lambda: plain.jobs.get(job_id))
        started = time.process_time()
        for _ in range(HITS):
            await cached.jobs.get(job_id)
        return cpu, wall, (time.process_time() - started) / HITS
