"""Reads a query string: sorts its parameters and parses each of them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, unquote_plus

from localbase.rest.conditions import comparison, condition, logic_path
from localbase.rest.errors import unreadable_query
from localbase.rest.grammar import columns, order, select, tree_path
from localbase.rest.parse_errors import ParseError
from localbase.rest.parsing import Parser, parse
from localbase.rest.query import Filter, Group, Path, Query
from localbase.rest.ranges import EVERYTHING, Range

T = TypeVar("T")
Pair = tuple[str, str]

_SEPARATORS = re.compile("[&;]")
_WHOLE = ("select", "columns", "on_conflict")
_LOGIC, _ORDER, _LIMIT, _OFFSET = ("and", "or"), ("order",), ("limit",), ("offset",)
_EMBEDDABLE = (*_LOGIC, *_ORDER, *_LIMIT, *_OFFSET)
_NUMBER = re.compile(r"\s*(-?\d+)\s*")


@lru_cache(maxsize=512)
def read_query(text: str, *, arguments_too: bool = False) -> Query:
    """Raises ApiError. With `arguments_too`, what is no filter is an argument of a function."""
    try:
        return _read(text, _pairs(text), arguments_too=arguments_too)
    except ParseError as error:
        raise unreadable_query(error.message, error.details) from error
    except RecursionError as error:
        raise unreadable_query("the query string is nested too deeply", "") from error


def _read(text: str, pairs: Sequence[Pair], *, arguments_too: bool) -> Query:
    query = Query(
        orders=tuple(_at_path(key, _parsed(order, "order", value)) for key, value in _ending(pairs, _ORDER)),
        groups=tuple(_group(key, value) for key, value in _ending(pairs, _LOGIC)),
        ranges=tuple(_ranges(pairs)),
        canonical=_canonical(text),
    )
    whole = dict(reversed([pair for pair in pairs if pair[0] in _WHOLE]))
    if "columns" in whole:
        listed = _parsed(columns, "columns parameter", whole["columns"])
        query = replace(query, columns=frozenset(listed))
    if "select" in whole:
        query = replace(query, select=_parsed(select, "select parameter", whole["select"]))
    query = _with_filters(query, pairs, arguments_too=arguments_too)
    if "on_conflict" in whole:
        conflict = _parsed(columns, "on_conflict parameter", whole["on_conflict"])
        query = replace(query, on_conflict=tuple(conflict))
    return query


def _with_filters(query: Query, pairs: Sequence[Pair], *, arguments_too: bool) -> Query:
    filters: list[tuple[Path, Filter]] = []
    arguments: list[Pair] = []
    for key, value in pairs:
        if key in _WHOLE or _last(key) in _EMBEDDABLE:
            continue
        path, field = _parsed(tree_path, "tree path", key)
        try:
            negated, operation = _parsed(comparison, "filter", value)
        except ParseError:
            # What began as an operator has to be one.
            if not arguments_too or _begins_operator(value):
                raise
            arguments.append((key, value))
        else:
            filters.append((path, Filter(field, operation, negated)))
    return replace(query, filters=tuple(filters), arguments=tuple(arguments))


def _begins_operator(value: str) -> bool:
    return value.startswith(("not.", "in.", "is.", "isdistinct."))


# A client's requests differ in their values; names, lists and orders recur.
@lru_cache(maxsize=2048)
def _parsed(parser: Parser[T], what: str, text: str) -> T:
    return parse(parser, text, f"failed to parse {what} ({text})")


def _at_path(key: str, value: T) -> tuple[Path, T]:
    path, _ = _parsed(tree_path, "tree path", key)
    return path, value


def _group(key: str, value: str) -> tuple[Path, Group]:
    path, words = _parsed(logic_path, "logic path", key)
    return path, parse(condition, words + value, f"failed to parse logic tree ({value})")


def _ranges(pairs: Sequence[Pair]) -> Iterator[tuple[Path, Range]]:
    limits = {key: _number(value) for key, value in _ending(pairs, _LIMIT)}
    offsets = {key[: -len("offset")] + "limit": _number(value) for key, value in _ending(pairs, _OFFSET)}
    for key in {**limits, **offsets}:
        found = Range.of(limits.get(key), offsets.get(key) or 0)
        if found != EVERYTHING:
            yield _at_path(key, found)


def _number(text: str) -> int | None:
    """What is no number asks for nothing."""
    found = _NUMBER.fullmatch(text)
    return int(found[1]) if found else None


def _ending(pairs: Sequence[Pair], words: tuple[str, ...]) -> list[Pair]:
    return [(key, value) for key, value in pairs if _last(key) in words]


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _pairs(text: str) -> list[Pair]:
    """The parameters that have a value."""
    split = (part.partition("=") for part in _SEPARATORS.split(text))
    return [(unquote_plus(key), unquote_plus(value)) for key, equals, value in split if equals]


def _canonical(text: str) -> str:
    parts = sorted(part.partition("=")[::2] for part in _SEPARATORS.split(text) if part)
    return "&".join(f"{_quoted(key)}={_quoted(value)}" for key, value in parts)


def _quoted(text: str) -> str:
    return quote(unquote_plus(text), safe="-_.~")
