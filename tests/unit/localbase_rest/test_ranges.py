"""Ranges of rows."""

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localbase.rest.ranges import EVERYTHING, Range, content_range, from_header, range_status

ranges = st.builds(Range, st.integers(0, 50), st.none() | st.integers(0, 50))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("0-9", Range(0, 9)),
        ("3-", Range(3)),
        ("", EVERYTHING),
        ("items=0-9", EVERYTHING),
        ("5-2", Range(5, 2)),
    ],
)
def test_from_header(header: str, found: Range) -> None:
    assert from_header(header) == found


@given(ranges, ranges, st.integers(0, 60))
def test_meeting_keeps_what_lies_in_both(one: Range, other: Range, row: int) -> None:
    def holds(wanted: Range) -> bool:
        return row >= wanted.first and (wanted.last is None or row <= wanted.last)

    assert holds(one.meet(other)) == (holds(one) and holds(other))


@given(ranges, st.integers(1, 20))
def test_at_most(wanted: Range, rows: int) -> None:
    limit = wanted.at_most(rows).limit

    assert limit is not None
    assert limit <= max(rows, 0)
    assert wanted.at_most(None) == wanted


@pytest.mark.parametrize(
    ("first", "last", "total", "header"),
    [(0, 4, None, "0-4/*"), (0, 1, 5, "0-1/5"), (10, 9, 5, "*/5"), (0, -1, 0, "*/0"), (0, -1, None, "*/*")],
)
def test_content_range(first: int, last: int, total: int | None, header: str) -> None:
    assert content_range(first, last, total) == header


@pytest.mark.parametrize(
    ("first", "rows", "total", "status"),
    [
        (0, 5, None, HTTPStatus.OK),
        (0, 5, 5, HTTPStatus.OK),
        (0, 2, 5, HTTPStatus.PARTIAL_CONTENT),
        (5, 0, 5, HTTPStatus.PARTIAL_CONTENT),
        (6, 0, 5, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE),
    ],
)
def test_status(first: int, rows: int, total: int | None, status: HTTPStatus) -> None:
    assert range_status(first, rows, total) == status
