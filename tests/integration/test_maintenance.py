"""Retention, schedules, the snapshot of the schema, and the database's health."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, LiteralString
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from support import Target

Database = psycopg.Connection[tuple[Any, ...]]

ACTORS: dict[str, dict[str, Any] | None] = {
    "anonymous": None,
    "user": {"sub": str(uuid4())},
    "service_account": {"sub": str(uuid4()), "app_metadata": {"role": "service_account"}},
    "admin": {"sub": str(uuid4()), "app_metadata": {"role": "admin"}},
}


def call(target: Target, actor: str, function: str, **arguments: Any) -> httpx.Response:
    """A call through the API as one of ACTORS or with the service key."""
    key = target.service_role_key if actor == "service_key" else target.anon_key
    claims = ACTORS.get(actor)
    headers = {"apikey": key, "Authorization": f"Bearer {target.token(**claims) if claims else key}"}
    return httpx.post(f"{target.url}/rest/v1/rpc/{function}", json=arguments, headers=headers)


def refusal(response: httpx.Response) -> dict[str, Any]:
    """What a refusal tells programs."""
    assert response.is_client_error, response.text
    details: dict[str, Any] = json.loads(response.json()["details"])
    return details


@pytest.fixture
def alone(own_target: Target) -> Iterator[Database]:
    """A session of the owner in a database of its own."""
    with own_target.connect() as session:
        yield session


def value(database: Database, query: LiteralString, *parameters: Any) -> Any:
    row = database.execute(query, parameters).fetchone()
    return row and row[0]


def make_jobs(database: Database, count: int, days: float = 40, status: str = "cancelled") -> list[UUID]:
    """Jobs that ended, if their status says so, that many days ago."""
    rows = database.execute(
        """
        insert into jobs (output_format, width, height) select 'mp4', 64, 64 from generate_series(1, %s)
        returning id
        """,
        (count,),
    ).fetchall()
    ids = [row[0] for row in rows]
    if status == "pending":
        return ids
    if status == "completed":
        database.execute("update jobs set status = 'processing' where id = any (%s)", (ids,))
    database.execute("update jobs set status = %s::job_status where id = any (%s)", (status, ids))
    if status != "processing":
        database.execute(
            """
            update jobs set
                finished_at = now() - make_interval(secs => 86400 * %(days)s),
                completed_at = completed_at - make_interval(secs => 86400 * %(days)s)
            where id = any (%(ids)s)
            """,
            {"days": days, "ids": ids},
        )
    return ids


def remaining(database: Database, ids: list[UUID]) -> set[UUID]:
    return {row[0] for row in database.execute("select id from jobs where id = any (%s)", (ids,))}


# Who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["anonymous", "user", "service_account"])
@pytest.mark.parametrize("function", ["cleanup_old_jobs", "cleanup_old_metrics", "enforce_data_retention"])
def test_cleanup__is_for_admins(target: Target, actor: str, function: str) -> None:
    response = call(target, actor, function)

    if actor == "anonymous":
        # Without a grant the function is not even called.
        assert response.json()["code"] == "42501"
    else:
        assert refusal(response)["error"] == "permission_denied"


@pytest.mark.parametrize("function", ["verify_database_schema", "database_health"])
def test_inspection__is_for_backends(target: Target, function: str) -> None:
    assert call(target, "anonymous", function).json()["code"] == "42501"
    assert refusal(call(target, "user", function))["error"] == "permission_denied"
    for actor in ("service_account", "admin", "service_key"):
        assert call(target, actor, function).is_success


@pytest.mark.local_stack
@pytest.mark.parametrize("actor", ["admin", "service_key"])
def test_cleanup__is_called_through_the_api(own_target: Target, alone: Database, actor: str) -> None:
    make_jobs(alone, 3)

    assert call(own_target, actor, "cleanup_old_jobs").json() == 3
    assert call(own_target, actor, "cleanup_old_metrics").json() == 0
    assert call(own_target, actor, "enforce_data_retention").is_success


@pytest.mark.parametrize(
    "function",
    [
        "private.rebase_event_log()",
        "private.record_schema()",
        "private.schedule_maintenance()",
        "private.present_schema()",
    ],
)
@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_operators_functions__are_callable_by_nobody_else(
    database: Database, function: str, role: str
) -> None:
    assert value(database, "select has_function_privilege(%s, %s, 'execute')", role, function) is False


@pytest.mark.parametrize(
    ("function", "arguments", "argument"),
    [
        ("cleanup_old_jobs", {"days": 0}, "days"),
        ("cleanup_old_jobs", {"days": -1}, "days"),
        ("cleanup_old_jobs", {"days": None}, "days"),
        ("cleanup_old_jobs", {"days": 2_000_000}, "days"),
        ("cleanup_old_metrics", {"days": 0}, "days"),
        ("cleanup_old_metrics", {"days": None}, "days"),
        ("enforce_data_retention", {"max_rows": 0}, "max_rows"),
        ("enforce_data_retention", {"max_rows": None}, "max_rows"),
        ("enforce_data_retention", {"max_rows": 100_001}, "max_rows"),
    ],
)
def test_cleanup__names_what_is_wrong(
    target: Target, function: str, arguments: dict[str, Any], argument: str
) -> None:
    details = refusal(call(target, "service_key", function, **arguments))

    assert details["error"] == "invalid_argument"
    assert [problem["argument"] for problem in details["problems"]] == [argument]


@pytest.mark.local_stack
def test_documented_statements__run_as_they_stand(alone: Database) -> None:
    for statement in (
        "SELECT cleanup_old_jobs(30);",
        "SELECT cleanup_old_metrics(7);",
        "SELECT enforce_data_retention();",
    ):
        assert alone.execute(statement).fetchone() is not None


# Cleaning up --------------------------------------------------------------------------------


@pytest.mark.local_stack
@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "timeout"])
def test_cleanup_old_jobs__removes_what_ended_long_ago(alone: Database, status: str) -> None:
    old, new = make_jobs(alone, 2, 31, status), make_jobs(alone, 2, 29, status)

    assert value(alone, "select cleanup_old_jobs()") == 2
    assert remaining(alone, old + new) == set(new)
    assert value(alone, "select cleanup_old_jobs(28)") == 2


@pytest.mark.local_stack
@pytest.mark.parametrize("status", ["pending", "processing"])
def test_cleanup_old_jobs__leaves_what_has_not_ended(alone: Database, status: str) -> None:
    ids = make_jobs(alone, 2, status=status)
    alone.execute("update jobs set created_at = now() - interval '1 year' where id = any (%s)", (ids,))

    assert value(alone, "select cleanup_old_jobs(1)") == 0
    assert remaining(alone, ids) == set(ids)


@pytest.mark.local_stack
def test_cleanup_old_jobs__takes_more_than_one_batch_and_all_that_belongs_to_them(alone: Database) -> None:
    make_jobs(alone, 2500)
    (last,) = make_jobs(alone, 1, status="pending")
    alone.execute(
        "insert into elements (job_id, type, text_content, element_order) values (%s, 'text', 'x', 0)",
        (last,),
    )
    alone.execute("update jobs set status = 'cancelled' where id = %s", (last,))
    alone.execute("update jobs set finished_at = now() - interval '40 days' where id = %s", (last,))

    assert value(alone, "select cleanup_old_jobs()") == 2501
    assert value(alone, "select count(*) from job_events") == 0
    assert value(alone, "select count(*) from elements") == 0


@pytest.mark.local_stack
def test_cleanup__leaves_an_audit_row_with_the_count(alone: Database) -> None:
    make_jobs(alone, 2)
    alone.execute("select record_metric('old', 1, recorded_at => now() - interval '8 days')")

    alone.execute("select cleanup_old_jobs(30), cleanup_old_metrics(7)")

    rows = alone.execute("select event_type, severity, details from security_events order by id").fetchall()
    assert rows == [
        ("audit.cleanup_old_jobs", "info", {"days": 30, "removed": 2}),
        ("audit.cleanup_old_metrics", "info", {"days": 7, "removed": 1}),
    ]


@pytest.mark.local_stack
def test_enforce_data_retention__leaves_an_audit_row_when_it_has_removed_something(alone: Database) -> None:
    alone.execute("select record_metric('old', 1, recorded_at => now() - interval '8 days')")

    for _ in range(2):
        alone.execute("select enforce_data_retention()")

    rows = alone.execute("select event_type, details from security_events").fetchall()
    assert rows == [("audit.enforce_data_retention", {"removed": {"system_metrics": 1}})]


@pytest.mark.local_stack
def test_cleanup_old_metrics__removes_old_values_only(alone: Database) -> None:
    alone.execute(
        """
        insert into system_metrics (metric, value, recorded_at)
        select 'old', number, now() - interval '8 days' from generate_series(1, 12000) as number
        """
    )
    alone.execute("select record_metric('new', 1, recorded_at => now() - interval '6 days')")

    assert value(alone, "select cleanup_old_metrics()") == 12000
    assert alone.execute("select metric from system_metrics").fetchall() == [("new",)]


@pytest.mark.local_stack
def test_cleanup_old_jobs__does_not_wait_for_a_job_that_somebody_works_on(
    own_target: Target, alone: Database
) -> None:
    ids = make_jobs(alone, 3)
    with own_target.connect() as other, other.transaction():
        other.execute("select private.lock_job(%s)", (ids[0],))
        alone.execute("set lock_timeout = '5s'")

        assert value(alone, "select cleanup_old_jobs()") == 2

    assert value(alone, "select cleanup_old_jobs()") == 1


@pytest.mark.local_stack
def test_cleanup_old_jobs__by_many_sessions_at_once_removes_each_once(
    own_target: Target, alone: Database
) -> None:
    make_jobs(alone, 3000)

    def clean(_: int) -> int:
        with closing(own_target.connect()) as session:
            return int(value(session, "select cleanup_old_jobs()"))

    with ThreadPoolExecutor(4) as pool:
        removed = list(pool.map(clean, range(4)))

    removed.append(value(alone, "select cleanup_old_jobs()"))
    assert sum(removed) == 3000


def test_cleanup_old_jobs__finds_old_jobs_by_index(database: Database) -> None:
    with database.transaction(force_rollback=True):
        database.execute("set local enable_seqscan = off; set local enable_bitmapscan = off")
        plan = database.execute(
            "explain select id from jobs where finished_at < now() order by finished_at limit 1000"
        ).fetchall()

    assert "jobs_finished" in str(plan)
    assert "Sort" not in str(plan)


@pytest.mark.local_stack
def test_cleanup_old_jobs__leaves_what_a_consumer_has_not_read(alone: Database) -> None:
    database = alone
    read, unread = make_jobs(database, 1), make_jobs(database, 1)
    database.execute(
        """
        insert into event_consumers (name, position_xid, position_id)
        select 'test', xid, id from job_events where job_id = %s order by xid desc, id desc limit 1
        """,
        (read[0],),
    )

    assert value(database, "select cleanup_old_jobs()") == 1
    assert remaining(database, read + unread) == set(unread)

    database.execute("update event_consumers set position_id = (select max(id) from job_events)")
    database.execute("update event_consumers set position_xid = (select max(xid) from job_events)")
    assert value(database, "select cleanup_old_jobs()") == 1


# Retention ----------------------------------------------------------------------------------


def retained(database: Database, max_rows: int = 10_000) -> dict[str, tuple[int, bool]]:
    """Table to (removed, more_left) of those where anything happened."""
    rows = database.execute("select * from enforce_data_retention(%s)", (max_rows,)).fetchall()
    return {table: (removed, more) for table, removed, more in rows if removed or more}


def fill(database: Database, days: float) -> None:
    """One row of that age in every table that has none by way of a job."""
    database.execute(
        "select record_metric('test', 1, recorded_at => now() - make_interval(secs => 86400 * %s))", (days,)
    )
    database.execute("select private.take_from_limit('test', 1, '1 hour')")
    database.execute("select log_security_event('test'), private.record_system_event('test', 'info')")
    database.execute(
        "insert into event_consumers (name, position_xid, position_id) values ('test', '999999999', 0)"
    )
    database.execute(
        "insert into event_dead_letters (consumer, event_id, event, attempts, error) "
        "values ('test', 1, '{}', 1, 'It broke.')"
    )
    for query in (
        "update event_dead_letters set created_at = now() - make_interval(secs => 86400 * %s)",
        "update security_events set created_at = now() - make_interval(secs => 86400 * %s)",
        "update system_events set created_at = now() - make_interval(secs => 86400 * %s)",
        "update private.rate_limits set ends_at = now() - make_interval(secs => 86400 * %s)",
    ):
        database.execute(query, (days,))


@pytest.mark.local_stack
def test_enforce_data_retention__holds_each_table_to_its_setting(alone: Database) -> None:
    make_jobs(alone, 1, days=50)
    fill(alone, 50)

    assert retained(alone) == {"jobs": (1, False), "system_metrics": (1, False), "rate_limits": (1, False)}
    alone.execute("update private.settings set value = '49.5' where name ~ '^retention_days_[se]'")
    assert retained(alone) == {
        "system_events": (1, False),
        "event_dead_letters": (1, False),
        "security_events": (1, False),
    }
    assert retained(alone) == {}


@pytest.mark.local_stack
@pytest.mark.parametrize(
    "change",
    [
        "update private.settings set value = 'null' where name like 'retention_days_%'",
        "update private.settings set value = '2147483647' where name like 'retention_days_%'",
        "delete from private.settings where name like 'retention_days_%'",
    ],
)
def test_enforce_data_retention__keeps_for_ever_without_a_setting(
    alone: Database, change: LiteralString
) -> None:
    make_jobs(alone, 1, days=5000)
    fill(alone, 5000)
    alone.execute(change)

    assert retained(alone) == {}


@pytest.mark.local_stack
def test_enforce_data_retention__never_removes_what_is_not_old(alone: Database) -> None:
    pending = make_jobs(alone, 1, status="pending")
    alone.execute("update private.settings set value = '0' where name like 'retention_days_%'")
    alone.execute("select private.take_from_limit('test', 1, '1 hour')")

    assert retained(alone) == {}
    assert remaining(alone, pending) == set(pending)


@pytest.mark.local_stack
def test_enforce_data_retention__goes_on_where_it_stopped(alone: Database) -> None:
    make_jobs(alone, 25)

    assert [retained(alone, 10) for _ in range(4)] == [
        {"jobs": (10, True)},
        {"jobs": (10, True)},
        {"jobs": (5, False)},
        {},
    ]


@pytest.mark.local_stack
def test_enforce_data_retention__finds_what_lies_behind_jobs_that_have_to_stay(alone: Database) -> None:
    unread, old = make_jobs(alone, 30, days=90), make_jobs(alone, 15, days=80)
    alone.execute("insert into event_consumers (name, position_xid, position_id) values ('test', '0', 0)")
    alone.execute("delete from job_events where job_id = any (%s)", (old,))

    assert [retained(alone, 10) for _ in range(3)] == [{"jobs": (10, True)}, {"jobs": (5, False)}, {}]
    assert remaining(alone, unread + old) == set(unread)


@pytest.mark.local_stack
def test_enforce_data_retention__reaches_what_the_workers_log(alone: Database) -> None:
    reached = {row[0] for row in alone.execute("select table_name from enforce_data_retention()")}

    assert reached == {
        "jobs",
        "storage_operations",
        "url_access_logs",
        "system_metrics",
        "system_events",
        "event_dead_letters",
        "security_events",
        "rate_limits",
    }


def test_retention__has_a_setting_for_every_table_it_reaches(database: Database) -> None:
    with database.transaction(force_rollback=True):
        reached = {row[0] for row in database.execute("select table_name from enforce_data_retention(1)")}
    settings = {
        name.removeprefix("retention_days_")
        for (name,) in database.execute("select name from private.settings where name like 'retention_%'")
    }

    assert reached <= settings


# Schedules ----------------------------------------------------------------------------------


@pytest.mark.local_stack
def test_schedule_maintenance__does_nothing_without_pg_cron(alone: Database) -> None:
    assert value(alone, "select private.schedule_maintenance()") == 0


@pytest.mark.local_stack
def test_schedule_maintenance__gives_pg_cron_what_to_call(alone: Database) -> None:
    # The extension needs to be loaded when the server starts; this is the function of it that is called.
    alone.execute(
        """
        create schema cron;
        create table cron.job (jobname text primary key, schedule text, command text);
        create function cron.schedule(job_name text, schedule text, command text) returns bigint
        language sql as $$
            insert into cron.job values ($1, $2, $3)
            on conflict (jobname) do update set command = excluded.command
            returning 1::bigint
        $$;
        """
    )

    scheduled = [value(alone, "select private.schedule_maintenance()") for _ in range(2)]

    jobs: dict[str, str] = dict(alone.execute("select jobname, command from cron.job").fetchall())
    # What a call leaves over, the next one takes soon.
    assert alone.execute("select distinct schedule from cron.job").fetchall() == [("* * * * *",)]
    assert jobs["reelbase_enforce_data_retention"] == "select public.enforce_data_retention()"
    assert all(name.startswith("reelbase_") for name in jobs)
    assert scheduled == [len(jobs), len(jobs)]
    for command in jobs.values():
        alone.execute(command)


# The schema ---------------------------------------------------------------------------------


def differences(database: Database) -> set[tuple[str, str, str]]:
    return {(row[0], row[1], row[2]) for row in database.execute("select * from verify_database_schema()")}


@pytest.mark.local_stack
@pytest.mark.parametrize(
    "settings",
    [
        "",
        "set search_path = private, public, extensions",
        "set timezone = 'Asia/Tokyo'; set datestyle = 'German'; set intervalstyle = 'iso_8601'",
        "set quote_all_identifiers = on; set bytea_output = 'escape'; set extra_float_digits = -5",
    ],
)
def test_verify_database_schema__finds_nothing_where_nothing_changed(
    alone: Database, settings: LiteralString
) -> None:
    alone.execute(settings)

    assert differences(alone) == set()
    for name, setting in [part.removeprefix("set ").split(" = ") for part in settings.split("; ") if part]:
        now = value(alone, "select current_setting(%s)", name)
        assert now.startswith(setting.strip("'"))


JOBS = "public.jobs"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("drop table public.security_events cascade", ("table", "public.security_events", "missing")),
        ("create table public.extra (id int)", ("table", "public.extra", "unexpected")),
        ("alter table public.jobs disable row level security", ("table", JOBS, "altered")),
        ("alter table public.jobs add extra int", ("column", f"{JOBS}.extra", "unexpected")),
        ("alter table public.jobs drop user_agent", ("column", f"{JOBS}.user_agent", "missing")),
        ("alter table public.jobs alter fps set default 25", ("column", f"{JOBS}.fps", "altered")),
        ("alter table public.jobs alter fps drop not null", ("column", f"{JOBS}.fps", "altered")),
        (
            "alter table public.jobs drop constraint jobs_width_in_range",
            ("constraint", f"jobs_width_in_range on {JOBS}", "missing"),
        ),
        (
            "comment on constraint jobs_width_in_range on public.jobs is 'other words'",
            ("constraint", f"jobs_width_in_range on {JOBS}", "altered"),
        ),
        ("drop index public.jobs_newest", ("index", f"jobs_newest on {JOBS}", "missing")),
        (
            "drop index public.jobs_newest; create index jobs_newest on public.jobs (created_at)",
            ("index", f"jobs_newest on {JOBS}", "altered"),
        ),
        (
            'drop policy "Backends see claims" on public.job_claims',
            ("policy", '"Backends see claims" on public.job_claims', "missing"),
        ),
        (
            'alter policy "Backends see claims" on public.job_claims using (true)',
            ("policy", '"Backends see claims" on public.job_claims', "altered"),
        ),
        (
            "create or replace function public.user_role() returns text language sql as 'select null'",
            ("function", "public.user_role()", "altered"),
        ),
        (
            "alter function public.get_job security definer",
            ("function", "public.get_job(uuid)", "altered"),
        ),
        ("drop function public.get_job", ("function", "public.get_job(uuid)", "missing")),
        (
            "create function public.get_job(job_id text) returns int language sql as 'select 1'",
            ("function", "public.get_job(text)", "unexpected"),
        ),
        ("drop trigger b_touch on public.jobs", ("trigger", f"b_touch on {JOBS}", "missing")),
        (
            "alter table public.jobs disable trigger b_touch",
            ("trigger", f"b_touch on {JOBS}", "altered"),
        ),
        (
            "comment on trigger jobs_metadata_is_object on public.jobs is 'other words'",
            ("trigger", f"jobs_metadata_is_object on {JOBS}", "altered"),
        ),
        (
            "alter type public.fit_mode add value 'zoom'",
            ("enum", "public.fit_mode", "altered"),
        ),
        (
            "alter type public.rate_limit add attribute extra text",
            ("type", "public.rate_limit", "altered"),
        ),
        ("create view public.extra as select 1 as one", ("view", "public.extra", "unexpected")),
        (
            "grant execute on function public.get_job to public",
            ("grant", "function public.get_job(uuid) to public", "unexpected"),
        ),
        (
            "grant delete on public.jobs to service_role",
            ("grant", f"table {JOBS} to service_role", "altered"),
        ),
        ("create sequence public.extra", ("sequence", "public.extra", "unexpected")),
        (
            "grant usage on sequence public.job_events_id_seq to anon",
            ("grant", "sequence public.job_events_id_seq to anon", "unexpected"),
        ),
        ("revoke select on public.jobs from anon", ("grant", f"table {JOBS} to anon", "missing")),
        (
            "grant update (status) on public.jobs to anon",
            ("grant", f"column {JOBS}.status to anon", "unexpected"),
        ),
        (
            "alter publication supabase_realtime drop table public.job_events",
            ("publication", "public.job_events in supabase_realtime", "missing"),
        ),
        (
            "alter publication supabase_realtime set (publish = 'update')",
            ("publication", "supabase_realtime", "altered"),
        ),
        (
            'drop policy "reelbase: who sees a job or is the user hears its topic" on realtime.messages',
            (
                "policy",
                '"reelbase: who sees a job or is the user hears its topic" on realtime.messages',
                "missing",
            ),
        ),
        (
            "create policy everybody on realtime.messages for select to authenticated using (true)",
            ("policy", "everybody on realtime.messages", "unexpected"),
        ),
        (
            "delete from public.job_transitions where to_status = 'cancelled'",
            ("rules", "public.job_transitions", "altered"),
        ),
        ("update private.step_weights set weight = 0", ("rules", "private.step_weights", "altered")),
        (
            "delete from private.batch_functions where function = 'create_job'",
            ("rules", "private.batch_functions", "altered"),
        ),
        ("delete from private.error_causes", ("rules", "private.error_causes", "missing")),
    ],
)
def test_verify_database_schema__finds_what_was_changed(
    database: Database, change: LiteralString, found: tuple[str, str, str]
) -> None:
    with database.transaction(force_rollback=True):
        database.execute(change)

        assert found in differences(database)


@pytest.mark.local_stack
def test_verify_database_schema__names_nothing_but_the_change(own_target: Target, alone: Database) -> None:
    alone.execute("alter table public.jobs alter fps set default 25")

    assert call(own_target, "service_account", "verify_database_schema").json() == [
        {"kind": "column", "name": "public.jobs.fps", "problem": "altered"}
    ]
    alone.execute("select private.record_schema()")
    assert differences(alone) == set()


@pytest.mark.local_stack
def test_verify_database_schema__on_another_major_version_compares_existence(alone: Database) -> None:
    notices: list[str] = []
    alone.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    alone.execute("update private.schema_objects set definition = '14' where kind = 'server'")
    alone.execute("alter table public.jobs alter fps set default 25")
    alone.execute("drop index public.jobs_newest")

    assert differences(alone) == {("index", "jobs_newest on public.jobs", "missing")}
    assert "definitions are not compared" in notices[0]


@pytest.mark.local_stack
def test_verify_database_schema__does_not_mind_extensions(alone: Database) -> None:
    if value(alone, "select count(*) from pg_available_extensions where name = 'citext'") == 0:
        pytest.skip("this server comes without contributed extensions")
    alone.execute("create extension citext schema public")

    assert differences(alone) == set()


# Health -------------------------------------------------------------------------------------


def test_database_health__tells_all_in_one_call(target: Target) -> None:
    health = call(target, "service_account", "database_health").json()

    assert set(health) == {
        "measured_at",
        "latency_ms",
        "server_version",
        "problems",
        "connections",
        "cache_hit_ratio",
        "slow_queries",
        "long_queries",
        "oldest_transaction",
        "transaction_ids",
        "size",
        "dead_tuples",
        "replication",
        "slots",
        "queue",
        "event_log",
        "consumers",
    }
    assert health["latency_ms"] > 0
    assert 0 < health["connections"]["used"] <= health["connections"]["max"]
    assert sum(health["connections"]["by_state"].values()) == health["connections"]["used"]
    assert 0 <= health["cache_hit_ratio"] <= 1
    assert health["size"]["database_bytes"] > 1_000_000
    assert "public.jobs" in {table["table"] for table in health["size"]["tables"]}
    assert health["replication"]["is_replica"] is False
    assert isinstance(health["slots"], list)


@pytest.mark.local_stack
def test_database_health__counts_the_queue(alone: Database) -> None:
    make_jobs(alone, 3, status="pending")
    make_jobs(alone, 2, status="processing")
    make_jobs(alone, 4)

    queue = value(alone, "select database_health() -> 'queue'")

    assert (queue["pending"], queue["processing"]) == (3, 2)


def test_database_health__sees_the_oldest_transaction(target: Target, database: Database) -> None:
    with target.connect() as other, other.transaction():
        age = value(other, "select round(extract(epoch from clock_timestamp() - now()), 3)")
        oldest = value(database, "select private.health_part('oldest_transaction')")

    # Another one may be older still.
    assert oldest["seconds"] >= age


@pytest.mark.parametrize(
    "query",
    [
        "select private.remove_finished_jobs(now(), 1)",
        "select private.remove_old_rows('public.jobs', 'created_at', now(), 1)",
    ],
)
def test_definers_that_remove__ask_for_themselves_who_is_calling(
    database: Database, query: LiteralString
) -> None:
    claims = json.dumps({"role": "authenticated"})
    with database.transaction(force_rollback=True):
        database.execute("select set_config('request.jwt.claims', %s, true)", (claims,))
        database.execute("set local role authenticated")
        with pytest.raises(psycopg.Error) as caught:
            database.execute(query)

    assert caught.value.sqlstate == "PT403"


@pytest.mark.parametrize("part", ["no such part", None])
def test_health_part__is_null_where_it_cannot_be_had(database: Database, part: str | None) -> None:
    assert value(database, "select private.health_part(%s)", part) is None


@pytest.mark.local_stack
def test_database_health__does_not_fail_where_something_is_missing(
    own_target: Target, alone: Database
) -> None:
    alone.execute("drop table public.jobs cascade")

    health = call(own_target, "service_key", "database_health").json()

    assert health["queue"] is None
    assert health["connections"] is not None


@pytest.mark.local_stack
def test_database_health__flags_an_event_log_from_another_cluster(alone: Database) -> None:
    database = alone
    make_jobs(database, 1)
    assert value(database, "select database_health() #> '{event_log,from_the_future}'") is False
    assert "event_log_from_another_cluster" not in value(database, "select database_health() -> 'problems'")

    database.execute("update job_events set xid = '1000000000000'")

    assert value(database, "select database_health() #> '{event_log,from_the_future}'") is True
    assert "event_log_from_another_cluster" in value(database, "select database_health() -> 'problems'")


@pytest.mark.local_stack
def test_database_health__tells_how_far_behind_consumers_are(alone: Database) -> None:
    database = alone
    make_jobs(database, 2)
    database.execute("insert into event_consumers (name, position_xid, position_id) values ('test', '0', 0)")

    database.execute("update job_events set created_at = now() - interval '25 hours'")
    health = value(database, "select database_health()")

    (consumer,) = health["consumers"]
    assert consumer["name"] == "test"
    assert consumer["unread"] == value(database, "select count(*) from job_events")
    assert consumer["lag_seconds"] > 86_400
    assert "consumer_behind_for_a_day" in health["problems"]


@pytest.mark.local_stack
def test_rebase_event_log__leaves_no_consumer_out(alone: Database) -> None:
    database = alone
    make_jobs(database, 3)
    # As if a transaction had committed late: the second event is of a later one than those after it.
    first, second, third, *_, last = [
        row[0] for row in database.execute("select id from job_events order by id").fetchall()
    ]
    database.execute("update job_events set xid = '1000000000000'")
    database.execute("update job_events set xid = '1000000000001' where id = %s", (second,))
    for name, xid, place in (
        ("new", "0", 0),
        ("behind", "1000000000000", third),
        ("waiting", "1000000000000", last),
        ("done", "1000000000001", second),
    ):
        database.execute(
            "insert into event_consumers (name, position_xid, position_id) values (%s, %s, %s)",
            (name, xid, place),
        )

    database.execute("select private.record_system_event('test', 'info')")
    database.execute("select private.rebase_event_log()")

    assert dict(database.execute("select name, position_id from event_consumers").fetchall()) == {
        "new": first - 1,
        "behind": second - 1,
        "waiting": second - 1,
        "done": last,
    }
    for table in ("job_events", "system_events"):
        assert value(database, f"select count(*) from {table} where xid <> '0'") == 0  # noqa: S608
    assert value(database, "select count(*) from event_consumers where position_xid <> '0'") == 0
    assert value(database, "select database_health() #> '{event_log,from_the_future}'") is False
