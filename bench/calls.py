"""What one call costs the client, beside bare httpx."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx
import supabase

from reelbase import AsyncReelbase, Reelbase

CALLS = 500


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
