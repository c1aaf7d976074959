"""With long logs, what backends list by kind is found by an index: told by plans, not by the clock."""

from collections.abc import Iterator
from typing import Any, LiteralString
from uuid import UUID

import pytest

from database.plans import as_actor, explain, plans, rows_read, seq_scans, sorted_rows
from database.servers import Database, Server, Session

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(300)]

# The rare kind is the oldest, so whoever reads from the newest on reads nearly all.
_FILL = """
    set local session_replication_role = replica;
    insert into public.jobs (output_format, width, height) select 'mp4', 64, 64 from generate_series(1, 10);
    insert into public.storage_operations (operation, bucket, key, success, created_at)
    select
        case when n > 49800 then 'delete' else 'upload' end::public.storage_operation, 'videos', n, n % 2 = 0,
        now() - n * interval '1 minute'
    from generate_series(1, 50000) as n;
    insert into public.elements (job_id, type, text_content, source_url, element_order, created_at)
    select
        id, case when n > 4980 then 'image' else 'text' end::public.element_type,
        case when n <= 4980 then 'Hello' end, case when n > 4980 then 'https://example.com/a.png' end, n,
        now() - n * interval '1 minute'
    from public.jobs, generate_series(1, 5000) as n;
    insert into public.processing_timeline (job_id, step, step_order, started_at, completed_at, success)
    select
        jobs.id, 'encoding', n, step.started_at, step.started_at + interval '1 second', true
    from public.jobs, generate_series(1, 5000) as n,
        lateral (select now() - n * interval '8 minutes') as step (started_at);
"""
_SUM = "select public.refresh_job_statistics(1000000)"

ACTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "service key": ("service_role", {}),
    "service account": (
        "authenticated",
        {"sub": str(UUID(int=1)), "app_metadata": {"role": "service_account"}},
    ),
    "admin": ("authenticated", {"sub": str(UUID(int=1)), "app_metadata": {"role": "admin"}}),
}


@pytest.fixture(scope="module")
def logged(own_server: Server) -> Iterator[Database]:
    """A database with long logs."""
    with own_server.migrated() as database:
        with database.connect_as_superuser() as session:
            with session.transaction():
                session.execute(_FILL)
            session.execute(_SUM)
            session.execute("analyze")
        yield database


@pytest.fixture(params=[False, True], ids=["custom plan", "generic plan"])
def session(logged: Database, request: pytest.FixtureRequest) -> Iterator[Session]:
    """A session that reports its plans, of either kind."""
    with logged.connect_as_superuser() as session:
        explain(session, generic=request.param)
        yield session


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize(
    ("query", "table"),
    [
        ("select * from public.get_storage_operations(operation => 'delete')", "storage_operations"),
        ("select * from public.get_failed_storage_operations(operation => 'delete')", "storage_operations"),
        ("select * from public.list_elements(type => 'image')", "elements"),
    ],
)
def test_list__of_a_rare_kind_reads_the_page_it_returns(
    session: Session, actor: str, query: LiteralString, table: str
) -> None:
    with as_actor(session, *ACTORS[actor]):
        found = plans(session, query)

    shown = "\n".join(plan.query for plan in found)
    assert not seq_scans(found) & {table}, shown
    # Those that succeeded are passed over where the failed are wanted.
    assert 50 < rows_read(found)[table] <= 102, shown
    assert sorted_rows(found) <= 102


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize(
    "query", ["select * from public.get_processing_metrics()", "select * from public.step_performance"]
)
def test_steps__are_read_from_sums_but_for_those_of_the_last_hours(
    session: Session, actor: str, query: LiteralString
) -> None:
    with as_actor(session, *ACTORS[actor]):
        found = plans(session, query)

    shown = "\n".join(plan.query for plan in found)
    assert not seq_scans(found) & {"processing_timeline"}, shown
    # Ten jobs with a step every eight minutes: of at most three hours at the end and one at the beginning.
    assert 100 < rows_read(found)["processing_timeline"] <= 10 * 4 * 8, shown
