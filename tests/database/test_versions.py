"""The migrations apply on the oldest and the newest Postgres, whichever way they are applied."""

from pathlib import Path

import pytest

from database.catalogue import read
from database.servers import MIGRATIONS, Database
from database.supabase_cli import needs_cli, supabase

pytestmark = pytest.mark.local_stack

# What localbase and the Supabase CLI keep a record in.
RECORD = """
    create schema supabase_migrations;
    create table supabase_migrations.schema_migrations (
        version text primary key, statements text[], name text
    );
"""
RECORDED = "select version, name from supabase_migrations.schema_migrations order by version"


def test_psql__applies_them_one_by_one_in_order(empty: Database, migrated: Database) -> None:
    empty.apply(*MIGRATIONS)

    with empty.connect() as by_psql, migrated.connect() as by_localbase:
        by_psql.execute(RECORD.encode())
        assert read(by_psql).objects == read(by_localbase).objects
        assert read(by_psql).properties == read(by_localbase).properties


@needs_cli
def test_supabase_cli__applies_them_and_keeps_its_record(
    empty: Database, migrated: Database, tmp_path: Path
) -> None:
    pushed = supabase(tmp_path, "db", "push", f"--remote={empty.url}", "--yes")
    again = supabase(tmp_path, "db", "push", f"--remote={empty.url}", "--yes")

    assert pushed.returncode == 0, pushed.stderr
    assert "up to date" in again.stdout + again.stderr
    with empty.connect() as by_cli, migrated.connect() as by_localbase:
        recorded = by_cli.execute(RECORDED).fetchall()
        assert [f"{version}_{name}.sql" for version, name in recorded] == [file.name for file in MIGRATIONS]
        assert read(by_cli).objects == read(by_localbase).objects


def test_owner__is_no_superuser(empty: Database) -> None:
    with empty.connect() as session:
        assert session.execute(
            "select current_user, rolsuper from pg_roles where rolname = current_user"
        ).fetchall() == [("postgres", False)]
