"""Why a text could not be read: notes about a place, how they are joined, and the words for them.

What can be told of one place is kept together; of two places the one further on counts. The wording is that
of Haskell's Parsec, which PostgREST's clients see.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

_TAB = 8
_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v", "\\": "\\"}


class Kind(IntEnum):
    """The order in which messages are told."""

    FOUND = 0
    UNEXPECTED = 1
    EXPECTED = 2


class Message(NamedTuple):
    kind: Kind
    text: str


class Notes(NamedTuple):
    """What is known about one place: why it failed, or what else could have stood there."""

    position: int
    messages: tuple[Message, ...] = ()


@dataclass(eq=False)
class ParseError(Exception):
    """`name` is what was read, by which the error calls it."""

    name: str
    text: str
    notes: Notes

    @property
    def message(self) -> str:
        line, column = _line_and_column(self.text[: self.notes.position])
        return f'"{self.name}" (line {line}, column {column})'

    @property
    def details(self) -> str:
        found, unexpected, expected = (_texts(self.notes, kind) for kind in Kind)
        parts = []
        if unexpected:
            parts.append(f"unexpected {_listed(unexpected)}")
        elif found:
            parts.append(f"unexpected {found[0] or 'end of input'}")
        if expected:
            parts.append(f"expecting {_listed(expected)}")
        return " ".join(parts) or "unknown parse error"


def joined(one: Notes, other: Notes) -> Notes:
    if not other.messages:
        return one
    if not one.messages or other.position > one.position:
        return other
    if other.position < one.position:
        return one
    return Notes(one.position, one.messages + other.messages)


def stopped(text: str, position: int, expected: tuple[str, ...]) -> Notes:
    found = Message(Kind.FOUND, shown(text[position]) if position < len(text) else "")
    return Notes(position, (found, *(Message(Kind.EXPECTED, name) for name in expected)))


def shown(text: str) -> str:
    return '"' + "".join(_escaped(one) for one in text) + '"'


def _escaped(one: str) -> str:
    if one == '"':
        return '\\"'
    if one in _ESCAPES:
        return "\\" + _ESCAPES[one]
    return one if one.isascii() and one.isprintable() else f"\\{ord(one)}"


def _texts(notes: Notes, kind: Kind) -> list[str]:
    return list(dict.fromkeys(message.text for message in notes.messages if message.kind == kind))


def _listed(texts: list[str]) -> str:
    said = [text for text in texts if text]
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} or {said[-1]}"


def _line_and_column(before: str) -> tuple[int, int]:
    column = 1
    for one in before.rpartition("\n")[2]:
        column += _TAB - (column - 1) % _TAB if one == "\t" else 1
    return before.count("\n") + 1, column
