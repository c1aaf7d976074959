"""Ranges of rows: `limit` and `offset`, the Range header, and what Content-Range says of them."""

import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Self

_HEADER = re.compile(r"(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Range:
    """Rows from `first` to `last`, both included; no `last` means to the end."""

    first: int = 0
    last: int | None = None

    @classmethod
    def of(cls, limit: int | None, offset: int = 0) -> Self:
        return cls(offset, None if limit is None else offset + limit - 1)

    @property
    def limit(self) -> int | None:
        return None if self.last is None else self.last - self.first + 1

    @property
    def empty(self) -> bool:
        return self.last is not None and self.last < self.first

    def meet(self, other: "Range") -> "Range":
        """What lies in both."""
        lasts = [last for last in (self.last, other.last) if last is not None]
        return Range(max(self.first, other.first), min(lasts, default=None))

    def at_most(self, rows: int | None) -> "Range":
        if rows is None or self.empty:
            return self
        return self.meet(replace(self, last=self.first + rows - 1))


EVERYTHING = Range()
NOTHING = Range(0, -1)


def from_header(value: str) -> Range:
    """The Range header's rows; what is not understood asks for everything."""
    found = _HEADER.fullmatch(value)
    if found is None:
        return EVERYTHING
    first, last = found.groups()
    return Range(int(first), int(last) if last else None)


def content_range(first: int, last: int, total: int | None) -> str:
    rows = f"{first}-{last}" if first <= last and total != 0 else "*"
    return f"{rows}/{'*' if total is None else total}"


def range_status(first: int, rows: int, total: int | None) -> HTTPStatus:
    if total is None:
        return HTTPStatus.OK
    if first > total:
        return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    return HTTPStatus.PARTIAL_CONTENT if rows < total else HTTPStatus.OK
