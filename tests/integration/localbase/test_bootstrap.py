"""What a new database brings along, and what it keeps closed."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from localbase.pytest_plugin import LocalStack

Owner = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture
def owner(localbase_shared: LocalStack) -> Iterator[Owner]:
    """A session of the role postgres whose changes are undone."""
    with psycopg.connect(localbase_shared.db_url) as connection:
        yield connection
        connection.rollback()


def scalar(owner: Owner, query: str) -> Any:
    row = owner.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_postgres_is_no_superuser(owner: Owner) -> None:
    assert scalar(owner, "select rolsuper from pg_roles where rolname = current_user") is False


@pytest.mark.parametrize("schema", ["auth", "storage", "realtime"])
def test_managed_schemas_are_closed(owner: Owner, schema: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"permission denied for schema {schema}"):
        owner.execute(f"create table {schema}.mine ()".encode())


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
def test_new_tables_are_granted_to_nobody(owner: Owner, role: str) -> None:
    owner.execute("create table public.fresh ()")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute(f"set local role {role}; select from public.fresh".encode())


def test_claims_are_read_by_auth_functions(owner: Owner) -> None:
    owner.execute(
        "select set_config('request.jwt.claims', %s, true)",
        ('{"sub": "a0000000-0000-4000-8000-000000000001", "role": "authenticated", "email": "a@b.c"}',),
    )

    found = owner.execute(
        "select auth.uid()::text, auth.role(), auth.email(), auth.jwt() ->> 'role'"
    ).fetchone()

    assert found == ("a0000000-0000-4000-8000-000000000001", "authenticated", "a@b.c", "authenticated")


def test_auth_functions_are_null_outside_a_request(owner: Owner) -> None:
    assert owner.execute("select auth.uid(), auth.role(), auth.email(), auth.jwt()").fetchone() == (None,) * 4


def test_broadcast_from_the_database_is_a_row_with_an_id(owner: Owner) -> None:
    owner.execute("""select realtime.send('{"a": 1}', 'changed', 'room')""")

    found = owner.execute(
        "select event, extension, private, payload ->> 'id' = id::text from realtime.messages"
        " where topic = 'room'"
    ).fetchone()

    assert found == ("changed", "broadcast", True, True)


def test_broadcast_from_the_database_never_fails(owner: Owner) -> None:
    owner.execute("select realtime.send(null, null, null)")

    assert scalar(owner, "select count(*) from realtime.messages") == 0


def test_owner_makes_policies_for_private_channels(owner: Owner) -> None:
    owner.execute("create policy mine on realtime.messages for select to authenticated using (true)")
    owner.execute("create table public.live (id int primary key)")
    owner.execute("alter publication supabase_realtime add table public.live")


def test_timeouts_are_those_of_the_platform(owner: Owner) -> None:
    found = owner.execute(
        "select r.rolname, s.setconfig[1]"
        " from pg_db_role_setting as s join pg_roles as r on r.oid = s.setrole"
        " where r.rolname in ('anon', 'authenticated') order by 1"
    ).fetchall()

    assert found == [("anon", "statement_timeout=3s"), ("authenticated", "statement_timeout=8s")]
