"""The seed, and the statements that the platform's documents show, on a database that has both."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from database.servers import SUPABASE, Database, Server

pytestmark = pytest.mark.local_stack

# As the documents of the platform have them. What stands instead of those in the schema auth, where hosted
# projects let nobody make functions, is in docs/access.md; `job-uuid` stands for an id.
STATEMENTS = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = 'public' AND table_type = 'BASE TABLE';

SELECT schemaname, tablename, rowsecurity
FROM pg_tables WHERE schemaname = 'public';

SELECT create_job('mp4', 1920, 1080, 25, '127.0.0.1'::inet, 'test-agent', '{}');

SELECT check_rate_limit('client-ip', 100, '1 hour'::interval);

SELECT log_security_event('unauthorized_access', '{"details": "..."}');

SELECT * FROM job_summary WHERE id = 'job-uuid';

SELECT * FROM active_jobs WHERE processing_health = 'stalled';

SELECT get_job_statistics('2024-01-01', '2024-01-31');

SELECT calculate_job_progress('job-uuid');

SELECT schemaname, tablename, attname, n_distinct, correlation
FROM pg_stats WHERE schemaname = 'public';

SELECT * FROM pg_stat_activity WHERE application_name LIKE '%supabase%';

ALTER TABLE jobs DISABLE ROW LEVEL SECURITY;

SELECT * FROM pg_policies WHERE tablename = 'jobs';

ANALYZE jobs;

ANALYZE elements;

SELECT cleanup_old_jobs(30);

SELECT cleanup_old_metrics(7);

SELECT enforce_data_retention();

SELECT
  schemaname,
  tablename,
  pg_size_pretty(pg_total_relation_size(schemaname||'.'||tablename)) as size
FROM pg_tables
WHERE schemaname = 'public'
ORDER BY pg_total_relation_size(schemaname||'.'||tablename) DESC;
"""


@pytest.fixture(scope="module")
def seeded(server: Server) -> Iterator[Database]:
    with server.migrated() as database:
        database.apply(SUPABASE / "seed.sql")
        yield database


@pytest.fixture
def session(seeded: Database) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with seeded.connect() as session:
        yield session


def test_seed__has_jobs_in_every_state_and_what_belongs_to_them(
    session: psycopg.Connection[tuple[Any, ...]],
) -> None:
    states = {state for (state,) in session.execute("select distinct status::text from jobs").fetchall()}
    empty = [
        table
        for table in (
            "elements",
            "processing_timeline",
            "storage_operations",
            "url_access_logs",
            "system_metrics",
            "job_events",
        )
        if session.execute(f"select count(*) from {table}".encode()).fetchone() == (0,)  # noqa: S608
    ]

    assert states == {"pending", "processing", "completed", "failed", "cancelled", "timeout"}
    assert empty == []


def test_seed__reaches_back_over_a_week_and_leaves_the_guards_on(
    session: psycopg.Connection[tuple[Any, ...]],
) -> None:
    days = session.execute("select count(distinct created_at::date) from jobs").fetchone()
    off = session.execute(
        "select count(*) from pg_trigger where not tgisinternal and tgenabled <> 'O'"
    ).fetchone()

    assert days is not None
    assert days[0] >= 5
    assert off == (0,)


def test_seed__is_loaded_once(seeded: Database) -> None:
    assert seeded.psql(SUPABASE / "seed.sql").returncode != 0


@pytest.mark.parametrize("statement", [each for each in re.split(r";\n+", STATEMENTS.strip()) if each])
def test_documented_statement__runs_as_it_stands(
    session: psycopg.Connection[tuple[Any, ...]], statement: str
) -> None:
    with session.transaction(force_rollback=True):
        found = session.execute("select id::text from jobs limit 1").fetchone()
        assert found is not None
        session.execute(statement.replace("job-uuid", found[0]).encode())
