"""Pieces of SQL that carry the values bound to them, so that text and values cannot get out of step.

There are three ways to get text in: templates, which are literals of this program; names, which the driver
quotes; and what is marked as trusted. Everything else is a value.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import LiteralString

from psycopg import sql

from localbase.rest.errors import null_character

Value = str | bytes | list[str]


@dataclass(frozen=True, slots=True)
class Fragment:
    """Its values are in the order of their placeholders."""

    text: str
    values: tuple[Value, ...] = ()

    def as_bytes(self) -> bytes:
        return self.text.encode()


EMPTY = Fragment("")


def fragment(template: LiteralString, *parts: Fragment) -> Fragment:
    """The template, with `{}` for each of the parts in their order."""
    values = tuple(value for part in parts for value in part.values)
    return Fragment(template.format(*(part.text for part in parts)), values)


def bound(value: Value) -> Fragment:
    """A value, whose type Postgres infers from where it stands."""
    return Fragment("%s", (checked(value),))


def checked(value: Value) -> Value:
    """The value, if Postgres can take it. Raises ApiError."""
    # Bytes may hold anything; in a list each element counts.
    if any("\0" in part for part in ([value] if isinstance(value, str) else value) if isinstance(part, str)):
        raise null_character()
    return value


@lru_cache(maxsize=4096)
def name(*parts: str) -> Fragment:
    """A quoted identifier, with its schema or table before it."""
    # What follows a null character was never part of a name that Postgres has.
    identifier = sql.Identifier(*(part.partition("\0")[0] for part in parts))
    return trusted(identifier.as_string())


def trusted(text: str) -> Fragment:
    """SQL as it stands: from the catalog, or of characters that cannot leave their place."""
    # A percent sign means a placeholder to the driver, even inside a name.
    return Fragment(text.replace("%", "%%"))


def joined(separator: LiteralString, parts: Iterable[Fragment]) -> Fragment:
    listed = list(parts)
    return Fragment(
        separator.join(part.text for part in listed),
        tuple(value for part in listed for value in part.values),
    )


def clause(keyword: LiteralString, separator: LiteralString, parts: Iterable[Fragment]) -> Fragment:
    """The keyword and the parts, or nothing where there are none."""
    listed = list(parts)
    return fragment(keyword + " {}", joined(separator, listed)) if listed else EMPTY
