"""Pieces of SQL that carry the values bound to them, so that text and values cannot get out of step."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from localbase.rest.errors import null_character

Value = str | bytes | list[str]


@dataclass(frozen=True, slots=True)
class Fragment:
    """Its values are in the order of their placeholders."""

    text: sql.Composable
    values: tuple[Value, ...] = ()

    def as_bytes(self) -> bytes:
        return self.text.as_bytes()


EMPTY = Fragment(sql.SQL(""))


def fragment(template: LiteralString, *parts: Fragment) -> Fragment:
    """The template, with `{}` for each of the parts in their order."""
    values = tuple(value for part in parts for value in part.values)
    return Fragment(sql.SQL(template).format(*(part.text for part in parts)), values)


def bound(value: Value) -> Fragment:
    """A value, whose type Postgres infers from where it stands."""
    if isinstance(value, str) and "\0" in value:
        raise null_character()
    return Fragment(sql.SQL("%s"), (value,))


def name(*parts: str) -> Fragment:
    """A quoted identifier, with its schema or table before it."""
    # A percent sign means a placeholder to the driver, even inside a name.
    return Fragment(sql.Identifier(*(part.partition("\0")[0].replace("%", "%%") for part in parts)))


def trusted(text: str) -> Fragment:
    """SQL as it stands: from the catalog, or of characters that cannot leave their place."""
    return Fragment(sql.SQL(text.replace("%", "%%")))  # pyright: ignore[reportArgumentType]


def joined(separator: LiteralString, parts: Iterable[Fragment]) -> Fragment:
    listed = list(parts)
    return Fragment(
        sql.SQL(separator).join(part.text for part in listed),
        tuple(value for part in listed for value in part.values),
    )


def clause(keyword: LiteralString, separator: LiteralString, parts: Iterable[Fragment]) -> Fragment:
    """The keyword and the parts, or nothing where there are none."""
    listed = list(parts)
    return fragment(keyword + " {}", joined(separator, listed)) if listed else EMPTY
