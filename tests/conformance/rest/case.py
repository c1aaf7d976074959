"""What was recorded: a request to PostgREST, what it answered, and what the database held afterwards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Case:
    """`role` says how the token is made. `reset` asks for fresh data before and after."""

    id: str
    group: str
    method: str
    path: str
    headers: Mapping[str, str | Sequence[str]]
    body: str | None
    role: str
    response: Answer
    core: bool = False
    reset: bool = False
    # A query to put after the request, and its result.
    check_sql: str | None = None
    check: Any = None
    # A change of the schema around the case, and the seconds in which it must show.
    setup_sql: Sequence[str] = ()
    teardown_sql: Sequence[str] = ()
    retry_s: float = 0
    # Headers that may be there though none was recorded.
    skip_headers: Sequence[str] = ()
    any_body: bool = False

    @classmethod
    def parse(cls, line: str) -> Self:
        recorded = json.loads(line)
        return cls(**recorded | {"response": Answer(**recorded["response"])})

    @property
    def keywords(self) -> tuple[str, ...]:
        return (self.group, "core") if self.core else (self.group,)

    def header_items(self) -> list[tuple[str, str]]:
        """One pair for each header line."""
        return [
            (name, line)
            for name, value in self.headers.items()
            for line in ([value] if isinstance(value, str) else value)
        ]


def _read() -> list[Case]:
    text = Path(__file__).with_name("cases.jsonl").read_text(encoding="utf-8")
    return [Case.parse(line) for line in text.splitlines()]


CASES = _read()
