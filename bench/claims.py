"""What a claim and a page of a list cost with a thousand jobs and with a million, beside the plainest SQL."""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

# The million jobs are the ones that the plans are tested with.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from database import many_jobs
from database.servers import Database
from localbase.binaries import find_binaries
from localbase.postgres import DATABASE, DatabaseAddress

SIZES = (1_000, 1_000_000)
TURNS = 300
WAITING = 3 * TURNS

# The floor of a claim: a table with what it takes to find a job, and nothing else happens to it.
_PLAIN = """
    drop table if exists public.bench_queue;
    create table public.bench_queue (id uuid primary key, status text, created_at timestamptz);
    insert into public.bench_queue select id, status::text, created_at from public.jobs;
    create index on public.bench_queue (created_at) where status = 'pending';
"""
_PLAIN_CLAIM = """
    update public.bench_queue set status = 'processing' where id = (
        select id from public.bench_queue where status = 'pending'
        order by created_at limit 1 for update skip locked
    ) returning id
"""
_MORE = "select count(public.create_job('mp4', 64, 64)) from generate_series(1, %s)"
_PLAIN_PAGE = "select to_jsonb(jobs) from public.jobs order by created_at desc, id desc limit 21"
_STATUSES = "status => '{pending,failed}'"


def claims(settings: dict[str, str]) -> None:
    """Everything over one SQL session: what the database itself takes."""
    port = int(settings["DB_URL"].rsplit(":", 1)[1].split("/")[0])
    database = Database(DatabaseAddress(port, DATABASE), find_binaries(None).folder)
    print(f"\nClaims and lists, by the number of jobs; {TURNS} times each, median\n")
    print(f"{'':34}" + "".join(f"{size:>14,} {'x floor':>8}" for size in SIZES))
    columns = [measured(database, size) for size in SIZES]
    for name, floor in (
        ("plain skip locked", "plain skip locked"),
        ("claim_jobs, one", "plain skip locked"),
        ("plain select, 21 rows", "plain select, 21 rows"),
        ("list_jobs, first page of 20", "plain select, 21 rows"),
        ("list_jobs, a page of two statuses", "plain select, 21 rows"),
        ("list_jobs, a page from the middle", "plain select, 21 rows"),
    ):
        cells = "".join(
            f"{column[name] * 1e6:11,.0f} us {column[name] / column[floor]:8.2f}" for column in columns
        )
        print(f"{name:34}{cells}")


def measured(database: Database, size: int) -> dict[str, float]:
    with database.connect_as_superuser() as session:
        session.execute("truncate public.jobs cascade")
    many_jobs.fill(database, size)
    with database.connect() as session:
        session.execute(_MORE, (WAITING,))
        session.execute(_PLAIN)
    with database.connect_as_superuser() as session:
        session.execute("vacuum analyze")
    with database.connect() as session:
        middle = one(session, "select next_cursor from public.list_jobs(page_size => 400)")
        return {
            "plain skip locked": median(lambda: one(session, _PLAIN_CLAIM)),
            "claim_jobs, one": median(lambda: one(session, "select public.claim_jobs('bench')")),
            "plain select, 21 rows": median(lambda: session.execute(_PLAIN_PAGE).fetchall()),
            "list_jobs, first page of 20": median(lambda: page(session, "")),
            "list_jobs, a page of two statuses": median(lambda: page(session, f", {_STATUSES}")),
            "list_jobs, a page from the middle": median(lambda: page(session, f", cursor => '{middle}'")),
        }


def page(session: psycopg.Connection[Any], arguments: str) -> object:
    query = f"select to_jsonb(page) from public.list_jobs(page_size => 20{arguments}) as page"  # noqa: S608
    return one(session, query)


def one(session: psycopg.Connection[Any], query: str) -> object:
    row = session.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def median(turn: Callable[[], object]) -> float:
    """Seconds, after a warm-up."""
    times = []
    for number in range(TURNS + 20):
        began = time.perf_counter()
        turn()
        if number >= 20:
            times.append(time.perf_counter() - began)
    return statistics.median(times)
