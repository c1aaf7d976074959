"""How many calls a second localbase answers, beside pgbench calling the same function."""

import asyncio
import re
import subprocess
import tempfile
import time

import aiohttp
import psycopg

from localbase.binaries import find_binaries

CLIENTS = 16
SECONDS = 5
_FUNCTION = """
    create or replace function public.bench_add(a int, b int) returns int
        language sql immutable as 'select a + b';
    grant execute on function public.bench_add to anon;
"""


def rpc(settings: dict[str, str]) -> None:
    """Both with the same number of clients, on the same machine, one after the other."""
    with psycopg.connect(settings["DB_URL"], autocommit=True) as session:
        session.execute(_FUNCTION)
    floor = pgbench(settings["DB_URL"])
    answered = asyncio.run(calls_a_second(settings["API_URL"], settings["PUBLISHABLE_KEY"]))
    print(f"\nA trivial function, {CLIENTS} clients for {SECONDS} s\n")
    print(f"{'':22} {'calls/s':>10} {'x floor':>8}")
    for name, rate in (("pgbench", floor), ("localbase /rest/v1/rpc", answered)):
        print(f"{name:22} {rate:10,.0f} {rate / floor:8.3f}")


def pgbench(dsn: str) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("select bench_add(1, 2);\n")
        script.flush()
        load = ["-n", "-c", str(CLIENTS), "-j", "2", "-T", str(SECONDS), "-f", script.name, dsn]
        report = subprocess.run(
            [str(find_binaries(None).postgres.with_name("pgbench")), *load],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    found = re.search(r"tps = ([\d.]+)", report)
    assert found is not None, report
    return float(found[1])


async def calls_a_second(url: str, key: str) -> float:
    headers = {"apikey": key}
    async with aiohttp.ClientSession(url, headers=headers) as session:
        await calling(session, time.perf_counter() + 1)
        began = time.perf_counter()
        counts = await asyncio.gather(*(calling(session, began + SECONDS) for _ in range(CLIENTS)))
        return sum(counts) / (time.perf_counter() - began)


async def calling(session: aiohttp.ClientSession, end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        async with session.post("/rest/v1/rpc/bench_add", json={"a": 1, "b": 2}) as answer:
            assert await answer.json() == 3
        count += 1
    return count
