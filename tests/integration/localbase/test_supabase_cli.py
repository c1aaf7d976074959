"""The official command line sees a local stack as it sees any other database."""

import os
import subprocess
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


def supabase(project: Project, *arguments: str) -> str:
    done = subprocess.run(
        [CLI, *arguments],
        cwd=project.workdir,
        env={**os.environ, "DO_NOT_TRACK": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


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
