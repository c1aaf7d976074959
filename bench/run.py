"""What reelbase costs, beside a floor in the same run.

    make bench                   all of it
    make bench ARGS="calls"      one part: calls or latency

Everything runs on an ephemeral localbase on this machine, so client and server share its cores. Times are
medians; CPU is the client process's own (user and system) per call, the server being another process.
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import httpx
import psycopg
import supabase

from reelbase import AsyncReelbase, JobStatus, Reelbase

ROOT = Path(__file__).parents[1]
CALLS = 500
COMMITS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure reelbase beside floors.")
    parser.add_argument("part", nargs="?", choices=["calls", "latency", "all"], default="all")
    part = parser.parse_args().part
    with stack() as settings:
        if part in {"calls", "all"}:
            calls(settings)
        if part in {"latency", "all"}:
            asyncio.run(latency(settings))


@contextlib.contextmanager
def stack() -> Iterator[dict[str, str]]:
    """A localbase in a process of its own."""
    localbase = str(Path(sys.executable).with_name("localbase"))
    with tempfile.TemporaryDirectory() as workdir:
        (Path(workdir) / "supabase").symlink_to(ROOT / "supabase")
        where = ["--workdir", workdir]
        command = [localbase, "start", *where, "--ephemeral", "--detach", "--api-port", "0", "--db-port", "0"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        try:
            status = subprocess.run(
                [localbase, "status", *where, "-o", "env"], check=True, capture_output=True, text=True
            )
            yield dict(line.replace('"', "").split("=", 1) for line in status.stdout.splitlines())
        finally:
            subprocess.run([localbase, "stop", *where], check=True, stdout=subprocess.DEVNULL)


# One call ----------------------------------------------------------------------------------


def calls(settings: dict[str, str]) -> None:
    """get_job through each client, beside bare httpx."""
    url, key = settings["API_URL"], settings["SERVICE_ROLE_KEY"]
    with Reelbase(url, key) as client:
        job_id = client.jobs.create("mp4", 640, 360).id
        plain = supabase.create_client(url, key)
        body = {"job_id": str(job_id)}
        headers = {"apikey": key, "Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=url, headers=headers) as bare:
            rows = {
                "bare httpx, sync": measured(lambda: bare.post("/rest/v1/rpc/get_job", json=body).json()),
                "supabase-py, sync": measured(lambda: plain.rpc("get_job", body).execute()),
                "Reelbase": measured(lambda: client.jobs.get(job_id)),
            }
        plain.postgrest.aclose()
    rows |= asyncio.run(async_calls(url, key, job_id))
    print(f"\nOne call of get_job, {CALLS} times one after the other\n")
    print(f"{'':22} {'client CPU':>12} {'wall':>10} {'CPU x floor':>12}")
    floor = rows["bare httpx, sync"][0]
    for name, (cpu, wall) in rows.items():
        print(f"{name:22} {cpu * 1e6:9.0f} us {wall * 1e6:7.0f} us {cpu / floor:12.2f}")


async def async_calls(url: str, key: str, job_id: UUID) -> dict[str, tuple[float, float]]:
    async with AsyncReelbase(url, key) as client:
        plain = await supabase.acreate_client(url, key)
        body = {"job_id": str(job_id)}
        rows = {
            "supabase-py, async": await measured_async(lambda: plain.rpc("get_job", body).execute()),
            "AsyncReelbase": await measured_async(lambda: client.jobs.get(job_id)),
        }
        await plain.postgrest.aclose()
    return rows


def measured(call: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds a call and the median of wall seconds, after a warm-up."""
    for _ in range(50):
        call()
    walls = []
    began = time.process_time()
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        walls.append(time.perf_counter() - start)
    return (time.process_time() - began) / CALLS, statistics.median(walls)


async def measured_async(call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    for _ in range(50):
        await call()
    walls = []
    began = time.process_time()
    for _ in range(CALLS):
        start = time.perf_counter()
        await call()
        walls.append(time.perf_counter() - start)
    return (time.process_time() - began) / CALLS, statistics.median(walls)


# From commit to listener -------------------------------------------------------------------


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


if __name__ == "__main__":
    main()
