"""What one call costs the client, and a hundred at once, beside plain supabase-py and bare httpx."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

import httpx
import supabase

from reelbase import AsyncReelbase, ElementSpec, ElementType, Reelbase

ROUNDS = 5
CALLS = 200
ELEMENTS = 100

SyncCall = Callable[[], object]
AsyncCall = Callable[[], Awaitable[object]]


@dataclass
class Costs:
    """Seconds a call: processor time of this process, and on the clock. One figure a round."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def add(self, cpu: float, wall: float, count: int) -> None:
        self.cpu.append(cpu / count)
        self.wall.append(wall / count)


def calls(settings: dict[str, str]) -> None:
    """get_job through each client, in turns; then elements, many at once and one by one."""
    url, key = settings["API_URL"], settings["SERVICE_ROLE_KEY"]
    with Reelbase(url, key) as client:
        job_id = client.jobs.create("mp4", 640, 360).id
        synchronous = sync_calls(client, url, key, job_id)
        asynchronous = asyncio.run(async_calls(url, key, job_id))
        print(f"\nOne call of get_job, {CALLS} times one after the other, median of {ROUNDS} rounds\n")
        print(f"{'':22} {'client CPU':>12} {'wall':>10} {'CPU x supabase-py':>18} {'x httpx':>8}")
        table(synchronous, "supabase-py", "bare httpx")
        table(asynchronous, "supabase-py, async", "bare httpx, async")
        elements(client)


def table(rows: dict[str, Costs], peer: str, floor: str) -> None:
    for name, costs in rows.items():
        cpu, wall = statistics.median(costs.cpu), statistics.median(costs.wall)
        print(
            f"{name:22} {cpu * 1e6:9.0f} us {wall * 1e6:7.0f} us"
            f" {ratio(costs.cpu, rows[peer].cpu):18.2f} {ratio(costs.cpu, rows[floor].cpu):8.2f}"
        )


def ratio(costs: list[float], others: list[float]) -> float:
    """The median over rounds: what else the machine did, it did to both."""
    return statistics.median(cost / other for cost, other in zip(costs, others, strict=True))


def sync_calls(client: Reelbase, url: str, key: str, job_id: UUID) -> dict[str, Costs]:
    body, headers = {"job_id": str(job_id)}, {"apikey": key, "Authorization": f"Bearer {key}"}
    plain = supabase.create_client(url, key)
    with httpx.Client(base_url=url, headers=headers) as bare:
        contenders: dict[str, SyncCall] = {
            "bare httpx": lambda: bare.post("/rest/v1/rpc/get_job", json=body).json(),
            "supabase-py": lambda: plain.rpc("get_job", body).execute(),
            "Reelbase": lambda: client.jobs.get(job_id),
        }
        rows = {name: Costs() for name in contenders}
        for number in range(ROUNDS + 1):
            for name, call in contenders.items():
                cpu, wall = time.process_time(), time.perf_counter()
                for _ in range(CALLS):
                    call()
                if number > 0:  # the first is a warm-up
                    rows[name].add(time.process_time() - cpu, time.perf_counter() - wall, CALLS)
    plain.postgrest.aclose()
    return rows


async def async_calls(url: str, key: str, job_id: UUID) -> dict[str, Costs]:
    body, headers = {"job_id": str(job_id)}, {"apikey": key, "Authorization": f"Bearer {key}"}
    plain = await supabase.acreate_client(url, key)
    async with AsyncReelbase(url, key) as client, httpx.AsyncClient(base_url=url, headers=headers) as bare:
        contenders: dict[str, AsyncCall] = {
            "bare httpx, async": lambda: bare.post("/rest/v1/rpc/get_job", json=body),
            "supabase-py, async": lambda: plain.rpc("get_job", body).execute(),
            "AsyncReelbase": lambda: client.jobs.get(job_id),
        }
        rows = {name: Costs() for name in contenders}
        for number in range(ROUNDS + 1):
            for name, call in contenders.items():
                cpu, wall = time.process_time(), time.perf_counter()
                for _ in range(CALLS):
                    await call()
                if number > 0:
                    rows[name].add(time.process_time() - cpu, time.perf_counter() - wall, CALLS)
    await plain.postgrest.aclose()
    return rows


def elements(client: Reelbase) -> None:
    """Wall time, as it is what a caller waits for."""
    element = ElementSpec(type=ElementType.TEXT, text_content="Hello")
    one_by_one, at_once = Costs(), Costs()
    for _ in range(ROUNDS):
        job_id = client.jobs.create("mp4", 640, 360).id
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(ELEMENTS):
            client.elements.add(job_id, element)
        one_by_one.add(time.process_time() - cpu, time.perf_counter() - wall, 1)
        job_id = client.jobs.create("mp4", 640, 360).id
        cpu, wall = time.process_time(), time.perf_counter()
        assert len(client.elements.add_many(job_id, [element] * ELEMENTS)) == ELEMENTS
        at_once.add(time.process_time() - cpu, time.perf_counter() - wall, 1)
    print(f"\n{ELEMENTS} elements to a job, median of {ROUNDS} rounds\n")
    print(f"elements.add, each       {statistics.median(one_by_one.wall) * 1e3:8.1f} ms")
    print(f"elements.add_many, once  {statistics.median(at_once.wall) * 1e3:8.1f} ms")
    print(f"times faster             {ratio(one_by_one.wall, at_once.wall):8.1f}")
