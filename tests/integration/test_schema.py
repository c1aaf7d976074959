"""The schema as a whole: closed by default, documented, and the same as what client and docs say."""

import inspect
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reelbase import CallRefused, JobStatus
from reelbase import models as model_package
from reelbase.execution.operation import operation
from reelbase.services.table import Services
from support import text

ROOT = Path(__file__).parents[2]
Database = psycopg.Connection[tuple[Any, ...]]


def column(database: Database, query: str) -> set[Any]:
    return {row[0] for row in database.execute(query).fetchall()}


OUR_FUNCTIONS = """
    select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where nspname in ('public', 'private')
    and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
"""


def test_every_table__has_row_level_security_and_a_comment(database: Database) -> None:
    query = """
        select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = relnamespace
        where nspname in ('public', 'private') and relkind in ('r', 'p')
    """

    assert column(database, query)
    assert column(database, f"{query} and not relrowsecurity") == set()
    assert column(database, f"{query} and obj_description(c.oid, 'pg_class') is null") == set()


def test_every_function__has_a_fixed_search_path_and_a_comment(database: Database) -> None:
    assert column(database, OUR_FUNCTIONS)
    assert (
        column(database, f"""{OUR_FUNCTIONS} and (proconfig @> array['search_path=""']) is not true""")
        == set()
    )
    assert column(database, f"{OUR_FUNCTIONS} and obj_description(p.oid, 'pg_proc') is null") == set()


def test_no_public_function__has_more_rights_than_its_caller(database: Database) -> None:
    assert column(database, f"{OUR_FUNCTIONS} and prosecdef and nspname = 'public'") == set()


def test_nobody__may_execute_by_default(database: Database) -> None:
    # A null ACL is Postgres's default: everyone may.
    assert column(database, f"{OUR_FUNCTIONS} and proacl is null") == set()
    assert (
        column(
            database,
            f"{OUR_FUNCTIONS} and exists (select from aclexplode(proacl) where grantee = 0)",
        )
        == set()
    )


def test_every_constraint_that_a_caller_can_break__has_words(database: Database) -> None:
    """Without a comment the caller reads a constraint's name. Those on states have no argument to name."""
    wordless = column(
        database,
        """
        select conname from pg_constraint
        where contype = 'c' and connamespace = 'public'::regnamespace
        and conrelid::regclass::text in ('jobs', 'elements', 'processing_timeline')
        and obj_description(oid, 'pg_constraint') is null
        """,
    )

    assert wordless == {
        "jobs_pending_not_started",
        "jobs_processing_started",
        "jobs_completed_has_time",
        "jobs_finished_has_time",
        "processing_timeline_completed_has_result",
        "processing_timeline_ends_after_start",
    }


WITHOUT_OPERATION = {
    "run_batch": "it carries the calls of other operations; a client puts those together itself",
}
"""Public functions that the client deliberately has no operation for, with the reason."""


def operations() -> dict[str, set[str]]:
    """Function name to argument names, of every operation of the client."""
    found = {}
    services: Services[Any] = Services(str, str)
    for service in vars(services).values():
        for method in vars(type(service)).values():
            if isinstance(method, operation):
                needed = [
                    name
                    for name, parameter in inspect.signature(method.build).parameters.items()
                    if parameter.default is inspect.Parameter.empty and name != "self"
                ]
                call = method.build(None, **{name: text() if name == "element" else () for name in needed})
                found[call.function] = set(call.arguments)
    return found


def test_every_public_function__has_an_operation_with_its_arguments(database: Database) -> None:
    in_database = {
        name: set(arguments[:count])
        for name, arguments, count in database.execute(
            """
            select proname, coalesce(proargnames, '{}'), pronargs from pg_proc p
            where pronamespace = 'public'::regnamespace and prokind = 'f' and prorettype <> 'trigger'::regtype
            and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
            """
        ).fetchall()
    }

    assert set(WITHOUT_OPERATION) <= set(in_database)
    assert operations() == {name: in_database[name] for name in in_database if name not in WITHOUT_OPERATION}


def test_errors__are_the_same_in_sql_client_and_docs(database: Database) -> None:
    in_database = dict(database.execute("select error, status from private.error_causes").fetchall())
    documented = dict(
        re.findall(r"^\| `(\w+)` \| (\d+) \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    )

    assert {name: str(status) for name, status in in_database.items()} == documented
    assert set(in_database) == {key for key in CallRefused._by_key if re.fullmatch(r"[a-z]+(_[a-z]+)+", key)}


def test_transitions__are_drawn_in_the_docs(database: Database) -> None:
    in_database = set(database.execute("select from_status, to_status from job_transitions").fetchall())
    page = (ROOT / "docs" / "concepts" / "states.md").read_text()
    states = "|".join(JobStatus)

    assert set(re.findall(rf"^\s+({states}) --> ({states})", page, re.MULTILINE)) == in_database


@pytest.mark.parametrize(
    ("enum", "type_name"),
    [
        ("JobStatus", "job_status"),
        ("ElementType", "element_type"),
        ("FitMode", "fit_mode"),
        ("ProcessingStep", "processing_step"),
        ("ResponseType", "response_type"),
        ("StorageOperationType", "storage_operation"),
    ],
)
def test_enums__have_the_database_s_values(database: Database, enum: str, type_name: str) -> None:
    values = database.execute(f"select enum_range(null::public.{type_name})::text[]").fetchone()

    assert values == ([member.value for member in getattr(model_package, enum)],)


@pytest.mark.parametrize(
    ("enum", "constraint"),
    [
        ("EventType", "job_events_type_known"),
        ("ClaimOutcome", "job_claims_outcome_known"),
        ("Severity", "security_events_severity_known"),
    ],
)
def test_enums__have_the_values_that_a_rule_accepts(database: Database, enum: str, constraint: str) -> None:
    rule = database.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conname = %s", (constraint,)
    ).fetchone()
    assert rule is not None

    assert set(re.findall(r"'([a-z.]+)'", rule[0])) == {kind.value for kind in getattr(model_package, enum)}


def test_documented_statement__runs_as_it_stands(database: Database) -> None:
    with database.transaction(force_rollback=True):
        row = database.execute(
            "SELECT create_job('mp4', 1920, 1080, 25, '127.0.0.1'::inet, 'test-agent', '{}');"
        ).fetchone()

    assert row is not None


def test_publication__holds_the_event_log_and_no_more_of_ours(database: Database) -> None:
    tables = column(
        database,
        """
        select tablename from pg_publication_tables
        where pubname = 'supabase_realtime' and schemaname = 'public'
        """,
    )

    assert tables & {"jobs", "elements", "processing_timeline", "job_events"} == {"job_events"}
