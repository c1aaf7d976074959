"""The pgTAP tests in supabase/tests, which `supabase test db` runs too, where Docker is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.servers import PACKAGES, SUPABASE, Database, Server, pgtap_script

SCRIPT = pgtap_script()
FILES = sorted((SUPABASE / "tests").glob("*.test.sql"))

pytestmark = [
    pytest.mark.local_stack,
    pytest.mark.skipif(SCRIPT is None, reason=f"pgTAP is not installed: {PACKAGES}"),
]


@pytest.fixture(scope="module")
def tapped(server: Server) -> Iterator[Database]:
    """A database with the migrations and pgTAP, which postgres owns, as when the Supabase CLI adds it."""
    assert SCRIPT is not None
    with server.migrated() as database:
        with database.connect() as session:
            session.execute("set search_path = extensions")
            session.execute(SCRIPT.read_bytes())
        yield database


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_pgtap(tapped: Database, file: Path) -> None:
    done = tapped.psql(file)

    assert done.returncode == 0, done.stderr
    if found := problems(done.stdout):
        pytest.fail(found, pytrace=False)


def problems(tap: str) -> str:
    """Failed assertions with their diagnostics, and whether as many ran as were planned."""
    planned = re.search(r"^1\.\.(\d+)$", tap, re.MULTILINE)
    ran = re.findall(r"^(?:not )?ok (\d+)", tap, re.MULTILINE)
    found = [line for line in tap.splitlines() if line.startswith(("not ok", "#"))]
    if planned is None or [int(number) for number in ran] != list(range(1, int(planned[1]) + 1)):
        found.append(f"Planned {planned[1] if planned else 'nothing'}, ran {len(ran)}.")
    return "\n".join(found)
