"""How long a change takes to its listener, beside LISTEN/NOTIFY and beside a bare Realtime channel."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
from living import live
from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent

from reelbase import AsyncReelbase, Job, JobStatus, SigningKey
from reelbase.realtime.endpoint import LivePath
from reelbase.realtime.stream import AsyncEventStream

COMMITS = 100
VIEWERS = 200

Seen = Callable[[float], None]
"""Called with a progress in percent, when it has come."""


class Times:
    """From sending COMMIT to the listener: seconds for each change, by its progress."""

    def __init__(self) -> None:
        self.sent: dict[float, float] = {}
        self.took: list[float] = []

    def seen(self, percent: float) -> None:
        if percent in self.sent:
            self.took.append(time.perf_counter() - self.sent[percent])


async def latency(settings: dict[str, str]) -> None:
    """A change's way from COMMIT to one listener, and to many."""
    url, key, dsn = settings["API_URL"], settings["SERVICE_ROLE_KEY"], settings["DB_URL"]
    async with broadcasting(dsn), AsyncReelbase(url, key) as client:
        times = {
            "LISTEN/NOTIFY": await notify(dsn),
            "a channel of realtime 2": await channel(client, url, key, dsn),
            "a subscription's callback": await called(client, dsn),
            "jobs.watch": await watched(client, [client], dsn),
        }
        async with AsyncReelbase(url, key, live="broadcast") as other:
            times["jobs.watch by broadcast"] = await watched(client, [other], dsn)
        print(f"\nFrom sending COMMIT to the listener, {COMMITS} changes at 20 a second\n")
        table(times)
        print(f"\nThe same to {VIEWERS} viewers of one job, each with a socket of its own\n")
        paths: tuple[LivePath, ...] = ("postgres_changes", "broadcast")
        table({path: await viewed(settings, client, path) for path in paths})


def table(times: dict[str, list[float]]) -> None:
    floor = statistics.median(next(iter(times.values())))
    print(f"{'':30} {'p50':>10} {'p99':>10} {'p50 x first':>12}")
    for name, took in times.items():
        took.sort()
        p50, p99 = statistics.median(took), took[int(len(took) * 0.99)]
        print(f"{name:30} {p50 * 1e3:7.2f} ms {p99 * 1e3:7.2f} ms {p50 / floor:12.1f}")


@asynccontextmanager
async def broadcasting(dsn: str) -> AsyncIterator[None]:
    """With the setting that has the database broadcast events."""
    statement = "update private.settings set value = %s where name = 'broadcast_job_events'"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as session:
        await session.execute(statement, ("true",))
        yield
        await session.execute(statement, ("false",))


async def running(client: AsyncReelbase) -> Job:
    job = await client.jobs.create("mp4", 640, 360)
    return await client.jobs.update_status(job.id, JobStatus.PROCESSING)


async def viewed(settings: dict[str, str], client: AsyncReelbase, live: LivePath) -> list[float]:
    url, anon_key = settings["API_URL"], settings["ANON_KEY"]
    key = SigningKey.from_secret(settings["JWT_SECRET"])
    job = await running(client)
    token = key.sign({"role": "anon", "watch_job_id": str(job.id)}, timedelta(hours=1))
    viewers = [
        AsyncReelbase(url, anon_key, access_token=token, live=live, slow_call=60) for _ in range(VIEWERS)
    ]
    try:
        return await watched(client, viewers, settings["DB_URL"], job)
    finally:
        for viewer in viewers:
            await viewer.aclose()


async def watched(
    client: AsyncReelbase, viewers: list[AsyncReelbase], dsn: str, job: Job | None = None
) -> list[float]:
    """Times of all viewers of one job."""
    job = job or await running(client)
    times = Times()

    async def view(events: AsyncEventStream) -> None:
        async for event in events:
            times.seen(float(event.progress_percentage))

    streams = [viewer.jobs.watch(job.id) for viewer in viewers]
    tasks = [asyncio.create_task(view(events)) for events in streams]
    await asyncio.gather(*(live(events) for events in streams))
    await change(dsn, job.id, times)
    await asyncio.sleep(1)  # until the last have come
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return times.took


async def called(client: AsyncReelbase, dsn: str) -> list[float]:
    """From COMMIT to a function that is called."""
    job, times = await running(client), Times()
    subscription = client.subscriptions.subscribe_to_job(
        job.id, lambda event: times.seen(float(event.progress_percentage))
    )
    await asyncio.sleep(2)  # until it is live
    await change(dsn, job.id, times)
    await asyncio.sleep(1)
    await client.subscriptions.unsubscribe(subscription)
    return times.took


async def channel(client: AsyncReelbase, url: str, key: str, dsn: str) -> list[float]:
    """What the package alone does, without the log."""
    job, times = await running(client), Times()
    bare = AsyncRealtimeClient(f"{url}/realtime/v1", key)
    topic = bare.channel("bench")
    topic.on_postgres_changes(
        RealtimePostgresChangesListenEvent.Insert,
        lambda payload: times.seen(float(payload["data"]["record"]["progress_percentage"])),
        table="job_events",
        schema="public",
        filter=f"job_id=eq.{job.id}",
    )
    try:
        await topic.subscribe()
        await asyncio.sleep(1)  # until the server has subscribed it
        await change(dsn, job.id, times)
        await asyncio.sleep(1)
    finally:
        await bare.close()
    return times.took


async def change(dsn: str, job_id: UUID, times: Times) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as session:
        for n in range(1, COMMITS + 1):
            percent = Decimal(n * 99) / COMMITS
            times.sent[float(percent)] = time.perf_counter()
            await session.execute("select update_job_progress(%s, %s)", (job_id, percent))
            await asyncio.sleep(0.05)


async def notify(dsn: str) -> list[float]:
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
