"""Where the columns of a view come from, read from the form in which Postgres stores the view.

That form nests nodes in braces. A view's own columns are the target entries directly inside its query, and
each names the table and column it was taken from, or nought.
"""

import re
from collections.abc import Iterator, Mapping

# A query holds its entries, and these the nodes of their expressions.
_ENTRY_DEPTH = 2
# Braces of the nesting, not those that belong to a name.
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_ORIGIN = re.compile(r":resno (\d+) .*:resorigtbl (\d+) :resorigcol (\d+)", re.DOTALL)

# A table and the number of its column; by the number of the view's column.
Origin = tuple[int, int]
Origins = Mapping[int, Origin]


def column_origins(rule: str) -> Origins:
    found = (_ORIGIN.search(entry) for entry in _entries(rule))
    numbers = (tuple(map(int, match.groups())) for match in found if match)
    return {column: (table, origin) for column, table, origin in numbers if table}


def _entries(rule: str) -> Iterator[str]:
    """The text of each target entry of the outermost query, without the nodes nested in it."""
    depth, begin, entry = 0, 0, ""
    for brace in _BRACE.finditer(rule):
        if brace[0].startswith("\\"):
            continue
        if depth == _ENTRY_DEPTH:
            entry += rule[begin : brace.start()]
        begin = brace.end()
        if brace[0] == "{":
            depth += 1
            entry = "" if depth == _ENTRY_DEPTH else entry
        else:
            if depth == _ENTRY_DEPTH and entry.startswith("TARGETENTRY"):
                yield entry
            depth -= 1
