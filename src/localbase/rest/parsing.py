"""Parsers made of smaller parsers, whose errors name what was found and all that could have come instead.

An alternative is tried only where the one before consumed nothing, as in Haskell's Parsec: what is accepted
and what is said of the rest are then the same.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import wraps
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

from localbase.rest.parse_errors import Kind, Message, Notes, ParseError, joined, shown, stopped

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
S = TypeVar("S")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T_co]):
    """A value, and where reading goes on."""

    value: T_co
    position: int
    consumed: bool
    notes: Notes


@dataclass(frozen=True, slots=True)
class Failed:
    """`consumed` says that no alternative may be tried."""

    consumed: bool
    notes: Notes


Parser: TypeAlias = Callable[[str, int], Parsed[T] | Failed]


def parse(parser: Parser[T], text: str, name: str) -> T:
    """The parser's value at the beginning of the text. Raises ParseError."""
    reply = parser(text, 0)
    if isinstance(reply, Failed):
        raise ParseError(name, text, reply.notes)
    return reply.value


def sequence(build: Callable[P, Generator[Parser[Any], Any, T]]) -> Callable[P, Parser[T]]:
    """A generator that yields parsers and is sent their values becomes a parser of what it returns."""

    @wraps(build)
    def made(*args: P.args, **kwargs: P.kwargs) -> Parser[T]:
        return lambda text, position: _run(build(*args, **kwargs), text, position)

    return made


def _run(steps: Generator[Parser[Any], Any, T], text: str, position: int) -> Parsed[T] | Failed:
    consumed, notes, value = False, Notes(position), None
    while True:
        try:
            parser = steps.send(value)
        except StopIteration as stop:
            return Parsed(stop.value, position, consumed, notes)
        reply = parser(text, position)
        notes = reply.notes if reply.consumed else joined(notes, reply.notes)
        consumed = consumed or reply.consumed
        if isinstance(reply, Failed):
            return Failed(consumed, notes)
        position, value = reply.position, reply.value


def satisfy(test: Callable[[str], bool], *expected: str) -> Parser[str]:
    """One character."""

    def parser(text: str, position: int) -> Parsed[str] | Failed:
        if position < len(text) and test(text[position]):
            return Parsed(text[position], position + 1, consumed=True, notes=Notes(position + 1))
        return Failed(consumed=False, notes=stopped(text, position, expected))

    return parser


def char(wanted: str) -> Parser[str]:
    return satisfy(lambda found: found == wanted, shown(wanted))


def span(test: Callable[[str], bool], *expected: str, least: int = 0) -> Parser[str]:
    """As many characters as satisfy the test."""

    def parser(text: str, position: int) -> Parsed[str] | Failed:
        end = position
        while end < len(text) and test(text[end]):
            end += 1
        notes = stopped(text, end, expected)
        if end - position < least:
            return Failed(consumed=end > position, notes=notes)
        return Parsed(text[position:end], end, consumed=end > position, notes=notes)

    return parser


def string(wanted: str) -> Parser[str]:
    """These characters; an error stands at the first of them."""
    expected = Message(Kind.EXPECTED, shown(wanted))

    def parser(text: str, position: int) -> Parsed[str] | Failed:
        if text.startswith(wanted, position):
            end = position + len(wanted)
            return Parsed(wanted, end, consumed=True, notes=Notes(end))
        same = 0
        while text[position + same : position + same + 1] == wanted[same]:
            same += 1
        found = text[position + same : position + same + 1]
        messages = (Message(Kind.FOUND, found and shown(found)), expected)
        return Failed(consumed=same > 0, notes=Notes(position, messages))

    return parser


def pure(value: T) -> Parser[T]:
    """Always this value, of no characters."""
    return lambda _text, position: Parsed(value, position, consumed=False, notes=Notes(position))


def nothing(_text: str, position: int) -> Failed:
    """Fails without a reason of its own."""
    return Failed(consumed=False, notes=Notes(position))


def choice(*parsers: Parser[T]) -> Parser[T]:
    """The first that succeeds; one that fails after consuming ends the search."""

    def parser(text: str, position: int) -> Parsed[T] | Failed:
        notes = Notes(position)
        for alternative in parsers:
            reply = alternative(text, position)
            if reply.consumed:
                return reply
            notes = joined(notes, reply.notes)
            if isinstance(reply, Parsed):
                return Parsed(reply.value, reply.position, consumed=False, notes=notes)
        return Failed(consumed=False, notes=notes)

    return parser


def label(parser: Parser[T], expected: str) -> Parser[T]:
    """Calls what may come at the beginning by one name."""

    def labelled(text: str, position: int) -> Parsed[T] | Failed:
        reply = parser(text, position)
        if reply.consumed or (isinstance(reply, Parsed) and not reply.notes.messages):
            return reply
        others = tuple(message for message in reply.notes.messages if message.kind != Kind.EXPECTED)
        notes = Notes(reply.notes.position, (Message(Kind.EXPECTED, expected), *others))
        if isinstance(reply, Failed):
            return Failed(consumed=False, notes=notes)
        return Parsed(reply.value, reply.position, consumed=False, notes=notes)

    return labelled


def attempt(parser: Parser[T]) -> Parser[T]:
    """A failure counts as if nothing had been consumed."""

    def tried(text: str, position: int) -> Parsed[T] | Failed:
        reply = parser(text, position)
        return Failed(consumed=False, notes=reply.notes) if isinstance(reply, Failed) else reply

    return tried


def ahead(parser: Parser[T]) -> Parser[T]:
    """Looks without consuming."""

    def looked(text: str, position: int) -> Parsed[T] | Failed:
        reply = parser(text, position)
        if isinstance(reply, Failed):
            return reply
        return Parsed(reply.value, position, consumed=False, notes=Notes(position))

    return looked


def absent(test: Callable[[str], bool]) -> Parser[None]:
    """Succeeds where no such character follows."""

    def parser(text: str, position: int) -> Parsed[None] | Failed:
        if position < len(text) and test(text[position]):
            unexpected = Message(Kind.UNEXPECTED, f"'{text[position]}'")
            return Failed(consumed=False, notes=Notes(position, (unexpected,)))
        return Parsed(None, position, consumed=False, notes=Notes(position))

    return parser


def many(parser: Parser[T]) -> Parser[tuple[T, ...]]:
    def repeated(text: str, position: int) -> Parsed[tuple[T, ...]] | Failed:
        values: list[T] = []
        while True:
            reply = parser(text, position)
            if isinstance(reply, Parsed):
                values.append(reply.value)
                position = reply.position
            elif reply.consumed:
                return reply
            else:
                return Parsed(tuple(values), position, consumed=bool(values), notes=reply.notes)

    return repeated


@sequence
def separated(parser: Parser[T], separator: Parser[Any]) -> Generator[Parser[Any], Any, tuple[T, ...]]:
    """One or more."""
    first = yield parser
    others = yield many(after(separator, parser))
    return (first, *others)


@sequence
def after(before: Parser[Any], parser: Parser[T]) -> Generator[Parser[Any], Any, T]:
    yield before
    value: T = yield parser
    return value


@sequence
def followed(parser: Parser[T], behind: Parser[Any]) -> Generator[Parser[Any], Any, T]:
    value: T = yield parser
    yield behind
    return value


@sequence
def mapped(parser: Parser[S], change: Callable[[S], T]) -> Generator[Parser[Any], Any, T]:
    return change((yield parser))


def between(opening: str, parser: Parser[T], closing: str) -> Parser[T]:
    return followed(after(char(opening), parser), char(closing))


def optional(parser: Parser[T]) -> Parser[T | None]:
    return choice(parser, pure(None))


anything = satisfy(lambda _: True)
end_of_input = label(absent(lambda _: True), "end of input")
