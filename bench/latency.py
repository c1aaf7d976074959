"""How long a change takes to its listener, beside LISTEN/NOTIFY."""

import asyncio
import statistics
import time
from decimal import Decimal
from uuid import UUID

import psycopg

from reelbase import AsyncReelbase, JobStatus

COMMITS = 100


async def latency(settings: dict[str, str]) -> None:
    """A change's way from COMMIT to `watch`, beside LISTEN/NOTIFY."""
    pushed = await watch_latency(settings)
    floor = await notify_latency(settings["DB_URL"])
    print(f"\nFrom sending COMMIT to the listener, {COMMITS} changes at 20 a second\n")
    print(f"{'':22} {'p50':>10} {'p99':>10} {'p50 x floor':>12}")
    for name, times in (("LISTEN/NOTIFY", floor), ("client.jobs.watch", pushed)):
        times.sort()
        p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
        print(f"{name:22} {p50 * 1e3:7.2f} ms {p99 * 1e3:7.2f} ms {p50 / statistics.median(floor):12.1f}")


async def watch_latency(settings: dict[str, str]) -> list[float]:
    async with AsyncReelbase(settings["API_URL"], settings["SERVICE_ROLE_KEY"]) as client:
        job = await client.jobs.create("mp4", 640, 360)
        await client.jobs.update_status(job.id, JobStatus.PROCESSING)
        sent: dict[Decimal, float] = {}
        times: list[float] = []
        async with (
            client.jobs.watch(job.id) as events,
            await psycopg.AsyncConnection.connect(settings["DB_URL"], autocommit=True) as session,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(change(session, job.id, sent))
            async for event in events:
                if (percent := event.progress_percentage) in sent:
                    times.append(time.perf_counter() - sent[percent])
                if len(times) == COMMITS:
                    break
    return times


async def change(session: psycopg.AsyncConnection, job_id: UUID, sent: dict[Decimal, float]) -> None:
    await asyncio.sleep(1)  # until the listener is live
    for n in range(1, COMMITS + 1):
        percent = Decimal(n * 99) / COMMITS
        sent[percent] = time.perf_counter()
        await session.execute("select update_job_progress(%s, %s)", (job_id, percent))
        await asyncio.sleep(0.05)


async def notify_latency(dsn: str) -> list[float]:
    times = []
    async with (
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as listener,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as session,
    ):
        await listener.execute("listen bench")
        notifications = listener.notifies()
        for n in range(COMMITS):
            start = time.perf_counter()
            received = asyncio.ensure_future(anext(notifications))
            await session.execute("select pg_notify('bench', %s)", (str(n),))
            await received
            times.append(time.perf_counter() - start)
            await asyncio.sleep(0.05)
        await notifications.aclose()
    return times
