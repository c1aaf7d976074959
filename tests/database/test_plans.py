"""With a million jobs every hot query reads an index, and few rows of it: told by plans, not by the clock.

The variable REELBASE_TEST_JOBS makes it fewer where a million takes too long.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, LiteralString
from uuid import UUID

import pytest

from database import many_jobs
from database.plans import Plan, as_actor, explain, plans, rows_read, seq_scans, sorted_rows
from database.servers import Database, Server, Session

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(300)]

JOBS = int(os.environ.get("REELBASE_TEST_JOBS", "1000000"))
# The tables that are large here; reading a small one from end to end is right.
LARGE = {"jobs", "job_events"}


@pytest.fixture(scope="session")
def many(own_server: Server) -> Iterator[Database]:
    """A database with a million jobs; tests roll back what they do to it."""
    with own_server.migrated() as database:
        many_jobs.fill(database, JOBS)
        yield database


@pytest.fixture(params=[False, True], ids=["custom plan", "generic plan"])
def session(many: Database, request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session that reports its plans, of either kind."""
    with many.connect_as_superuser() as session:
        explain(session, generic=request.param)
        yield session


ACTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "service key": ("service_role", {}),
    "admin": ("authenticated", {"sub": str(UUID(int=1)), "app_metadata": {"role": "admin"}}),
    "user": ("authenticated", {"sub": many_jobs.USER}),
    "watcher": ("anon", {"watch_job_id": "JOB"}),
}


@pytest.fixture(scope="session")
def job_id(many: Database) -> UUID:
    """A job of the user, with events."""
    query = "select id from public.jobs where user_id = %s and event_seq = 4 limit 1"
    with many.connect() as session:
        row = session.execute(query, (many_jobs.USER,)).fetchone()
    assert row is not None
    found: UUID = row[0]
    return found


def acting(session: Session, actor: str, job_id: UUID) -> AbstractContextManager[None]:
    role, claims = ACTORS[actor]
    return as_actor(
        session, role, {name: str(job_id) if value == "JOB" else value for name, value in claims.items()}
    )


def assert_cheap(found: list[Plan], **most: int) -> None:
    """No large table is read from end to end, and of those named no more than so many rows."""
    shown = "\n".join(plan.query for plan in found)
    assert found
    assert not seq_scans(found) & LARGE, shown
    assert {name: rows for name, rows in rows_read(found).items() if rows > most.get(name, rows)} == {}, shown


@pytest.mark.parametrize("actor", ACTORS)
def test_get_job__reads_one_row(session: Session, job_id: UUID, actor: str) -> None:
    with acting(session, actor, job_id):
        found = plans(session, "select * from public.get_job(%(job_id)s)", {"job_id": job_id})

    assert rows_read(found)["jobs"] == 1
    assert_cheap(found, jobs=1)


@pytest.mark.parametrize("actor", ACTORS)
def test_read_job_events__reads_one_job_s_events(session: Session, job_id: UUID, actor: str) -> None:
    with acting(session, actor, job_id):
        found = plans(session, "select * from public.read_job_events(%(job_id)s, 1, 2)", {"job_id": job_id})

    # The job has four events, and for each the policy may look at the job again.
    assert_cheap(found, jobs=6, job_events=4)
    assert sorted_rows(found) <= 4


@pytest.mark.parametrize("actor", ["service key", "admin", "user"])
def test_read_job_events__reads_the_end_of_a_long_log(session: Session, job_id: UUID, actor: str) -> None:
    long = session.execute("select id from public.jobs where event_seq = 10000").fetchone()
    assert long is not None
    with acting(session, actor, job_id):
        found = plans(session, "select * from public.read_job_events(%(id)s, 9990)", {"id": long[0]})

    assert_cheap(found, jobs=12, job_events=10)


def test_harness__sees_what_is_not_cheap(session: Session) -> None:
    found = plans(session, "select count(*) from public.jobs where output_size = 1")

    assert seq_scans(found) == {"jobs"}
    # Parallel workers round what each of them read.
    assert rows_read(found)["jobs"] == pytest.approx(JOBS, abs=10)


def test_fixture__has_the_jobs_it_promises(many: Database) -> None:
    query = "select status::text, count(*) from public.jobs group by 1"
    with many.connect() as session:
        share = {status: count / JOBS for status, count in session.execute(query).fetchall()}

    assert share["pending"] == pytest.approx(0.02, rel=0.01)
    assert share["processing"] == pytest.approx(0.002, rel=0.05)
    assert set(share) == {"pending", "processing", "completed", "failed", "cancelled", "timeout"}


# The queue ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("formats", [None, ["mp4", "gif"]])
def test_claim__reads_the_jobs_it_takes(session: Session, job_id: UUID, formats: list[str] | None) -> None:
    with acting(session, "service key", job_id):
        found = plans(
            session,
            "select * from public.claim_jobs('worker', 5, formats => %(formats)s)",
            {"formats": formats},
        )

    # Each is read to be taken, updated for each of its two events, read for its event, and returned.
    assert_cheap(found, jobs=120, job_claims=60)
    assert sorted_rows(found) <= 25


def test_claim__reads_as_little_of_a_queue_that_is_scheduled(session: Session, job_id: UUID) -> None:
    session.execute("begin")
    session.execute("set local session_replication_role = replica")
    session.execute(
        "update public.jobs set available_at = now() + interval '1 day', priority = 5 "
        "where status = 'pending' and id in (select id from public.jobs where status = 'pending' limit 5000)"
    )
    session.execute("set local session_replication_role = origin")
    with acting(session, "service key", job_id):
        found = plans(session, "select * from public.claim_jobs('worker')")
    session.execute("rollback")

    assert_cheap(found, jobs=60)


def backlog(session: Session, owner: str, output_format: str) -> None:
    """Let everything that waits be of one format and, but for ten jobs, of one owner."""
    session.execute("set local session_replication_role = replica")
    session.execute(
        "update public.jobs set output_format = %s, user_id = %s where status = 'pending'",
        (output_format, owner),
    )
    session.execute(
        "update public.jobs set user_id = gen_random_uuid() where id in "
        "(select id from public.jobs where status = 'pending' order by available_at desc limit 10)"
    )
    session.execute("set local session_replication_role = origin")


@pytest.mark.parametrize("formats", [["webm"], ["webm", "gif", "mov"]])
def test_claim__reads_nothing_of_other_formats(session: Session, job_id: UUID, formats: list[str]) -> None:
    with session.transaction(force_rollback=True):
        backlog(session, many_jobs.USER, "mp4")
        with acting(session, "service key", job_id):
            found = plans(
                session,
                "select * from public.claim_jobs('worker', formats => %(formats)s)",
                {"formats": formats},
            )

    assert_cheap(found, jobs=0)


@pytest.mark.parametrize("formats", [None, ["webm", "mp4"]])
def test_claim__passes_a_user_at_the_limit_however_many_wait(
    session: Session, job_id: UUID, formats: list[str] | None
) -> None:
    with session.transaction(force_rollback=True):
        backlog(session, many_jobs.USER, "mp4")
        # Of the jobs that run, one is of a user.
        session.execute("set local session_replication_role = replica")
        session.execute("update public.jobs set user_id = null where status = 'processing'")
        session.execute(
            "update public.jobs set user_id = %s where id = "
            "(select job_id from public.job_claims where ended_at is null limit 1)",
            (many_jobs.USER,),
        )
        session.execute("set local session_replication_role = origin")
        running = session.execute("select count(*) from public.job_claims where ended_at is null").fetchone()
        session.execute("update private.settings set value = '1' where name = 'max_running_jobs_per_user'")
        with acting(session, "service key", job_id):
            found = plans(
                session,
                "select * from public.claim_jobs('worker', 10, formats => %(formats)s)",
                {"formats": formats},
            )
            taken = session.execute(
                "select count(*) from public.job_claims where worker = 'worker'"
            ).fetchone()

    assert running is not None
    assert taken == (10,)
    # A few steps of the search, each of which counts what runs, and some of the jobs ahead.
    assert_cheap(found, jobs=6 * running[0] + 2000)


def test_heartbeat__reads_the_claims_it_names(session: Session, job_id: UUID) -> None:
    numbers = session.execute(
        "select array_agg(id) from (select id from public.job_claims limit 20) as newest"
    ).fetchone()
    assert numbers is not None
    with acting(session, "service key", job_id):
        found = plans(session, "select * from public.heartbeat_jobs(%(claims)s)", {"claims": numbers[0]})

    # With few claims in all, reading them from end to end is right.
    assert_cheap(found, jobs=20, job_claims=80 if JOBS >= 1_000_000 else 10_000)


def test_rescue__reads_the_claims_that_expired(session: Session, job_id: UUID) -> None:
    with acting(session, "service key", job_id):
        found = plans(session, "select * from public.rescue_stalled_jobs()")

    assert_cheap(found, jobs=0, job_claims=5)


def test_progress__reads_its_job(session: Session, job_id: UUID) -> None:
    query = "select id from public.jobs where status = 'processing' and user_id is not null limit 1"
    running = session.execute(query).fetchone()
    claims = session.execute("select id from public.job_claims where job_id = %s", running).fetchone()
    assert running is not None
    assert claims is not None
    with acting(session, "service key", job_id):
        found = plans(
            session,
            "select * from public.update_job_progress(%(job_id)s, 99, claim => %(claim)s)",
            {"job_id": running[0], "claim": claims[0]},
        )

    assert_cheap(found, jobs=20, job_claims=2)


# Lists --------------------------------------------------------------------------------------------

BY_STATUS = ", status => '{pending,failed,completed}'"


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        ("", 21),
        (", oldest_first => true", 21),
        (", status => '{pending}'", 21),
        (BY_STATUS, 63),
        (BY_STATUS + ", oldest_first => true", 63),
        (", user_id => '00000000-0000-4000-8000-000000000007'", 21),
        (", client_ip => '10.0.0.9'", 21),
        (", output_format => 'gif'", 200),
        (", sort => 'finished_at'", 22),
        (", from_time => now() - interval '200 days', to_time => now() - interval '100 days'", 21),
        (", metadata => '{\"campaign\": 17}', from_time => now() - interval '10 days'", 12_000),
        (", error_text => 'error_7', user_id => '00000000-0000-4000-8000-000000000007'", 1100),
    ],
)
@pytest.mark.parametrize("actor", ["service key", "admin"])
def test_list__reads_the_page_it_returns(
    session: Session, job_id: UUID, actor: str, arguments: str, most: int
) -> None:
    statement = f"select * from public.list_jobs(page_size => 20{arguments})"  # noqa: S608  # of the cases above
    with acting(session, actor, job_id):
        found = plans(session, statement)  # type: ignore[arg-type]  # no literal

    assert_cheap(found, jobs=most)
    assert sorted_rows(found) <= max(most, 63)


@pytest.mark.parametrize("actor", ["service key", "admin", "user"])
def test_next_page__reads_as_little_as_the_first(session: Session, job_id: UUID, actor: str) -> None:
    with acting(session, actor, job_id):
        row = session.execute("select next_cursor from public.list_jobs(page_size => 20)").fetchone()
        assert row is not None
        found = plans(
            session,
            "select * from public.list_jobs(page_size => 20, cursor => %(cursor)s)",
            {"cursor": row[0]},
        )

    assert_cheap(found, jobs=21)
    assert sorted_rows(found) <= 21


# The log ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["service key", "admin", "user"])
def test_log__is_read_from_the_cursor_on(session: Session, job_id: UUID, actor: str) -> None:
    with acting(session, actor, job_id):
        row = session.execute("select next_cursor from public.read_events(max_events => 100)").fetchone()
        assert row is not None
        found = plans(
            session, "select * from public.read_events(%(after)s, max_events => 100)", {"after": row[0]}
        )

    # And the last one of all, for where the log ends.
    assert_cheap(found, job_events=100 + 1, jobs=0)
    assert sorted_rows(found) <= 100


def test_retention__is_not_slowed_by_a_consumer_that_is_behind(session: Session, job_id: UUID) -> None:
    with session.transaction(force_rollback=True):
        # No job older than these, and none of them may go.
        session.execute(
            """
            insert into public.job_events (
                xid, job_id, user_id, seq, type, status, is_terminal, progress_percentage
            )
            select '3', id, user_id, 1000000, 'url.accessed', status, is_terminal, progress_percentage
            from public.jobs where finished_at is not null order by finished_at limit 30000
            """
        )
        session.execute(
            "insert into public.event_consumers (name, position_xid, position_id) "
            "values ('forgotten', '0', 0)"
        )
        with acting(session, "service key", job_id):
            found = plans(session, "select * from public.enforce_data_retention(100)")

    assert_cheap(found, jobs=11_000, job_events=11_000)


# Looking ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["service key", "admin"])
@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("select * from public.get_queue_state()", 30_000),
        ("select count(*) from public.active_jobs", 60_000),
        ("select * from public.job_summary where id = %(job_id)s", 20),
        ("select * from public.job_status_realtime where id = %(job_id)s", 2),
    ],
)
def test_looking__reads_what_is_active(
    session: Session, job_id: UUID, actor: str, query: LiteralString, most: int
) -> None:
    with acting(session, actor, job_id):
        found = plans(session, query, {"job_id": job_id})

    assert_cheap(found, jobs=most)
