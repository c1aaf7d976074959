"""The official linters find nothing: plpgsql_check in the functions, the advisors in the schema."""

import json
from pathlib import Path

import pytest

from database.servers import PACKAGES, Database, Server
from database.supabase_cli import needs_cli, supabase

pytestmark = [pytest.mark.local_stack, needs_cli]

# Nobody has used this database yet.
EXPECTED = {"unused_index"}


def lint(database: Database, workdir: Path) -> list[str]:
    done = supabase(
        workdir,
        *("db", "lint", f"--remote={database.url}", "--schema=public,private"),
        *("--level=warning", "--output-format=json"),
    )
    assert done.returncode == 0, done.stderr
    return [
        f"{result['function']}: {issue['level']}: {issue['message']}"
        for result in json.loads(done.stdout)["results"]
        for issue in result["issues"]
    ]


def advise(database: Database, workdir: Path) -> list[str]:
    done = supabase(
        workdir, "db", "advisors", f"--remote={database.url}", "--level=info", "--output-format=json"
    )
    assert done.returncode == 0, done.stderr
    return [
        f"{finding['level']}: {finding['name']}: {finding['detail']}"
        for finding in json.loads(done.stdout)["results"]
        if finding["name"] not in EXPECTED
    ]


def test_plpgsql_check__finds_nothing(debian_server: Server, tmp_path: Path) -> None:
    with debian_server.migrated() as database:
        with database.connect_as_superuser() as session:
            available = session.execute(
                "select from pg_available_extensions where name = 'plpgsql_check'"
            ).fetchone()
            if available is None:
                pytest.skip(f"plpgsql_check is not installed: {PACKAGES}")
            session.execute("create extension plpgsql_check with schema extensions")
        assert lint(database, tmp_path) == []

        # That it looks at all.
        with database.connect() as session:
            session.execute(
                "create function private.faulty() returns void language plpgsql as $$"
                " declare unused int; begin perform 1; end $$"
            )
        assert [found.split(":")[0] for found in lint(database, tmp_path)] == ["private.faulty"]


def test_advisors__find_nothing(migrated: Database, tmp_path: Path) -> None:
    assert advise(migrated, tmp_path) == []

    with migrated.connect() as session:
        session.execute("create table public.open (id int primary key); grant select on public.open to anon")
    assert [found.split(":")[1].strip() for found in advise(migrated, tmp_path)] == ["rls_disabled_in_public"]
