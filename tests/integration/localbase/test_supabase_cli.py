"""The official command line sees a local stack as it sees any other database.

What it wants Docker for cannot be had: db dump, db pull, db diff. Extensions that are not there keep out
db lint (plpgsql_check), test db (pgtap) and inspect db outliers (pg_stat_statements).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from integration.localbase.projects import Project

CLI = Path(__file__).parents[3] / "node_modules" / ".bin" / "supabase"

pytestmark = [
    pytest.mark.local_stack,
    pytest.mark.skipif(not CLI.exists(), reason="the Supabase CLI is not installed: npm install"),
]

RECORDED = "select version, name, statements from supabase_migrations.schema_migrations order by version"
SEEDED = "select path, hash from supabase_migrations.seed_files"

FAULTS = """
alter table public.notes enable row level security;
create policy signed_in on public.notes using (auth.uid() is not null);
create function public.loose() returns int language sql as 'select 1';
grant select on public.more to anon;
"""


def supabase(project: Project, *arguments: str) -> str:
    done = run(project, *arguments)
    return done.stdout + done.stderr


def run(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [CLI, *arguments],
        cwd=project.workdir,
        # Else a warning stands above what it prints: a local database has no TLS.
        env={**os.environ, "DO_NOT_TRACK": "1", "PGSSLMODE": "disable"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done


def findings(project: Project, status: dict[str, str]) -> list[str]:
    """What the advisors say: the name of the lint, and of what it is about."""
    done = run(project, "db", "advisors", f"--remote={status['DB_URL']}", "--output-format=json")
    found = json.loads(done.stdout)["results"]
    return sorted(f"{finding['name']}: {finding['metadata']['name']}" for finding in found)


def recorded(status: dict[str, str]) -> list[object]:
    with psycopg.connect(status["DB_URL"]) as connection:
        return [*connection.execute(RECORDED).fetchall(), *connection.execute(SEEDED).fetchall()]


@pytest.fixture
def project(project: Project) -> Project:
    project.add_migration(
        "20250102000000_more.sql",
        "-- head; note\ncreate table public.more ();\n\n/* tail */ select ';' -- end",
    )
    return project


def test_both_keep_the_same_record(project: Project, other_project: Project) -> None:
    ours = project.start("--ephemeral")
    other_project.add_migration(
        "20250102000000_more.sql",
        (project.workdir / "supabase/migrations/20250102000000_more.sql").read_text(),
    )
    theirs = other_project.start("--ephemeral", "--no-migrate")

    supabase(other_project, "db", "push", f"--remote={theirs['DB_URL']}", "--include-seed", "--yes")

    assert recorded(theirs) == recorded(ours)


def test_it_finds_what_localbase_applied(project: Project) -> None:
    status = project.start("--ephemeral")

    listed = supabase(project, "migration", "list", f"--remote={status['DB_URL']}")
    pushed = supabase(project, "db", "push", f"--remote={status['DB_URL']}", "--yes")

    assert listed.count("20250101000000") == 2
    assert "up to date" in pushed


def test_advisors_find_faults_of_the_project_alone(project: Project) -> None:
    status = project.start("--ephemeral")
    before = findings(project, status)
    with psycopg.connect(status["DB_URL"]) as connection:
        connection.execute(FAULTS.encode())

    assert before == []
    assert findings(project, status) == [
        "auth_rls_initplan: notes",
        "function_search_path_mutable: loose",
        "rls_disabled_in_public: more",
    ]


def test_types_are_generated(project: Project) -> None:
    status = project.start("--ephemeral")

    def types(language: str) -> str:
        return run(project, "gen", "types", f"--remote={status['DB_URL']}", f"--lang={language}").stdout

    # What was generated is a program that reads a row.
    program = types("python") + "\nprint(PublicNotes.model_validate_json(input()).body)"
    row = '{"id": 1, "body": "seeded"}'
    done = subprocess.run(
        [sys.executable, "-c", program], input=row, capture_output=True, text=True, check=True
    )
    assert done.stdout == "seeded\n"
    assert '"hello":' in types("typescript")
