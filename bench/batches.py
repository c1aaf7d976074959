"""What ten calls cost in a batch and in a transaction, beside ten requests; the floor is plain psycopg."""

import statistics
import time
from collections.abc import Callable

import psycopg

from reelbase import ElementSpec, ElementType, Reelbase

CALLS = 10
ROUNDS = 100
ELEMENT = ElementSpec(type=ElementType.TEXT, text_content="Hello")
_DIRECT = (
    "select to_jsonb(public.add_job_element(job_id => %s, type => 'text'::public.element_type, "
    "text_content => 'Hello'))"
)
_CALLER = (
    "select set_config('role', 'service_role', true), "
    """set_config('request.jwt.claims', '{"role": "service_role"}', true)"""
)
_CREATE = (
    "select (public.create_job(output_format => 'mp4', width => 64::integer, height => 64::integer)).id::text"
)


def batches(settings: dict[str, str]) -> None:
    """A job with nine elements, made with ten calls in each way."""
    key, address = settings["SERVICE_ROLE_KEY"], settings["DB_URL"]
    with (
        Reelbase(settings["API_URL"], key, database_url=address) as client,
        psycopg.connect(address, autocommit=True) as bare,
    ):
        rows = {
            "psycopg, one transaction": median(lambda: directly(bare)),
            "client.transaction()": median(lambda: in_transaction(client)),
            "client.batch()": median(lambda: in_batch(client)),
            f"{CALLS} requests": median(lambda: one_by_one(client)),
        }
    floor = rows["psycopg, one transaction"]
    print(f"\nA job with nine elements, in {CALLS} calls, {ROUNDS} times\n")
    print(f"{'':26} {'wall':>10} {'x floor':>8}")
    for name, wall in rows.items():
        print(f"{name:26} {wall * 1e3:7.1f} ms {wall / floor:8.2f}")


def directly(session: psycopg.Connection) -> None:
    with session.transaction():
        session.execute(_CALLER)
        row = session.execute(_CREATE).fetchone()
        assert row is not None
        for _ in range(CALLS - 1):
            session.execute(_DIRECT, row).fetchone()


def in_transaction(client: Reelbase) -> None:
    with client.transaction() as tx:
        job = tx.jobs.create("mp4", 64, 64)
        for _ in range(CALLS - 1):
            tx.elements.add(job.id, ELEMENT)


def in_batch(client: Reelbase) -> None:
    with client.batch() as batch:
        job = batch.jobs.create("mp4", 64, 64)
        for _ in range(CALLS - 1):
            last = batch.elements.add(job["id"], ELEMENT)
    last.result()


def one_by_one(client: Reelbase) -> None:
    job = client.jobs.create("mp4", 64, 64)
    for _ in range(CALLS - 1):
        client.elements.add(job.id, ELEMENT)


def median(work: Callable[[], None]) -> float:
    for _ in range(5):
        work()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
