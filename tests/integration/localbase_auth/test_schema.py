"""The schema auth: what is in it, whose it is, and who may do what."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from localbase.pytest_plugin import LocalStack

Owner = psycopg.Connection[tuple[Any, ...]]
TABLES = ["identities", "mfa_amr_claims", "refresh_tokens", "sessions", "users"]


@pytest.fixture
def owner(localbase_shared: LocalStack) -> Iterator[Owner]:
    """A session of the role postgres whose changes are undone."""
    with psycopg.connect(localbase_shared.db_url) as connection:
        yield connection
        connection.rollback()


def test_tables_belong_to_the_service_and_are_closed(owner: Owner) -> None:
    found = owner.execute("""
        select relname, relowner::regrole::text, relrowsecurity from pg_class
        where relnamespace = 'auth'::regnamespace and relkind = 'r' order by relname
    """).fetchall()

    assert found == [(table, "supabase_auth_admin", True) for table in TABLES]


@pytest.mark.parametrize(
    ("column", "type_name"),
    [
        ("id", "uuid"),
        ("aud", "character varying"),
        ("role", "character varying"),
        ("email", "character varying"),
        ("encrypted_password", "character varying"),
        ("email_confirmed_at", "timestamp with time zone"),
        ("confirmed_at", "timestamp with time zone"),
        ("raw_app_meta_data", "jsonb"),
        ("raw_user_meta_data", "jsonb"),
        ("phone", "text"),
        ("banned_until", "timestamp with time zone"),
        ("deleted_at", "timestamp with time zone"),
        ("is_anonymous", "boolean"),
    ],
)
def test_columns_are_those_of_a_hosted_project(owner: Owner, column: str, type_name: str) -> None:
    found = owner.execute(
        "select data_type from information_schema.columns"
        " where table_schema = 'auth' and table_name = 'users' and column_name = %s",
        (column,),
    ).fetchone()

    assert found == (type_name,)


@pytest.mark.parametrize("role", ["anon", "authenticated", "service_role"])
@pytest.mark.parametrize("table", TABLES)
def test_the_data_api_sees_nothing(owner: Owner, role: str, table: str) -> None:
    granted = owner.execute(
        "select has_table_privilege(%s, %s, 'select, insert, update, delete')", (role, f"auth.{table}")
    ).fetchone()

    assert granted == (False,)


def test_postgres_hangs_things_on_users(owner: Owner) -> None:
    owner.execute("""
        create table public.profiles (id uuid primary key references auth.users (id) on delete cascade);
        create view public.addresses as select id, email from auth.users;
        create function public.nothing() returns trigger language plpgsql as $$ begin return new; end $$;
        create trigger nothing after insert on auth.users for each row execute function public.nothing();
        grant select on auth.users to service_role;
    """)


def test_seeds_make_users(owner: Owner) -> None:
    owner.execute("""
        insert into auth.users (id, email) values ('a0000000-0000-4000-8000-000000000001', 'a@b.co');
        insert into auth.identities (provider_id, user_id, identity_data, provider)
        select id::text, id, jsonb_build_object('sub', id, 'email', email), 'email' from auth.users;
    """)
    made = owner.execute("select id from auth.identities").rowcount
    owner.execute("delete from auth.users")

    assert made == 1
    assert owner.execute("select id from auth.identities").rowcount == 0


@pytest.mark.parametrize(
    "statement",
    [
        "create table auth.mine ()",
        "create function auth.mine() returns int language sql as 'select 1'",
        "alter table auth.users add column mine int",
        "alter table auth.users disable row level security",
        "create index mine on auth.users (email)",
        "drop table auth.sessions",
    ],
)
def test_postgres_changes_nothing_of_the_service(owner: Owner, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        owner.execute(statement.encode())
