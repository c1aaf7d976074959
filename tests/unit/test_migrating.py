"""docs/reference/migrating.md names what the clients really have."""

import re
from pathlib import Path

import pytest

from reelbase import AsyncReelbase, Reelbase

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "migrating.md"
ROWS = [
    line.split("|")[2]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| there")
]
NAMES = sorted({name for row in ROWS for name in re.findall(r"client\.([a-z_.]+[a-z])", row)})


@pytest.mark.parametrize("name", NAMES)
def test_name__is_on_both_clients(name: str) -> None:
    for client in (Reelbase("http://127.0.0.1:1", "key"), AsyncReelbase("http://127.0.0.1:1", "key")):
        found: object = client
        for part in name.split("."):
            found = getattr(found, part)
        # Methods, and one list.
        assert callable(found) or found == []


def test_every_row__tells_something() -> None:
    assert len(NAMES) > 40
    assert all("client." in row or ":" in row or "with" in row for row in ROWS)
