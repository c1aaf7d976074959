"""docs/access.md as data: what each actor may do, by the tables of that page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from database.servers import ROOT

PAGE = ROOT / "docs" / "access.md"

Cells = dict[str, str]
"""By column: what the page says of one object."""


@dataclass(frozen=True, slots=True)
class AccessPage:
    """The three tables of the page."""

    actors: tuple[str, ...]
    relations: dict[str, Cells]
    functions: dict[str, Cells]


def read_page() -> AccessPage:
    return AccessPage(
        actors=tuple(name for name, _ in _rows("actor")),
        relations=_by_name("table or view"),
        functions=_by_name("function"),
    )


def _by_name(heading: str) -> dict[str, Cells]:
    found: dict[str, Cells] = {}
    for first, cells in _rows(heading):
        for name in re.findall(r"`(\w+)`", first):
            assert name not in found, f"{name} stands on the page twice"
            found[name] = cells
    return found


def _rows(heading: str) -> Iterator[tuple[str, Cells]]:
    """The rows of the table whose first column has this heading: its first cell, and the others by column."""
    lines = iter(PAGE.read_text().splitlines())
    columns = next(cells for line in lines if (cells := _cells(line))[0] == heading)
    next(lines)  # the line under the headings
    for line in lines:
        if not line.startswith("|"):
            break
        first, *others = _cells(line)
        yield first, dict(zip(columns[1:], others, strict=True))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
