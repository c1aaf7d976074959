"""The arguments of a call, read from a request's body or query string."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from localbase.rest.errors import not_implemented, unreadable_body

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
_BYTES = "application/octet-stream"
# Bodies that are handed on whole, and the type of the unnamed argument that takes them.
RAW_TYPES = {"text/plain": ("text",), "text/xml": ("xml",), _BYTES: ("bytea",)}
_UNNAMED_TYPES = {**RAW_TYPES, JSON: ("json", "jsonb")}

_RESERVED = frozenset({"select", "order", "limit", "offset", "and", "or", "not.and", "not.or"})
_IGNORED = frozenset({"columns", "on_conflict"})
_OPERATORS = (
    "eq|neq|gt|gte|lt|lte|like|ilike|match|imatch|in|is|isdistinct"
    "|fts|plfts|phfts|wfts|cs|cd|ov|sl|sr|nxr|nxl|adj"
)
_FILTER = re.compile(rf"(?:not\.)?(?:{_OPERATORS})(?:\([^)]*\))?\.")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a caller gives. One of `document`, `values` and `raw` holds it."""

    names: frozenset[str]
    # JSON text; `many` when it is an array, of which the first element counts.
    document: str | None = None
    many: bool = False
    # Query or form values by name, all of them: a variadic argument takes several.
    values: Mapping[str, Sequence[str]] | None = None
    # The body itself, for a function with one unnamed argument of these types.
    raw: str | bytes | None = None
    unnamed_types: tuple[str, ...] = ()
    media_type: str = JSON


def from_query(query: str) -> Arguments:
    """Arguments of a GET. Raises ApiError for what is no argument."""
    pairs = parse_qsl(query, keep_blank_values=True)
    return _from_pairs([(name, value) for name, value in pairs if not _is_modifier(name, value)])


def refuse_modifiers(query: str) -> None:
    """With a body, a query string holds only filters and the like, which are not served yet."""
    for name, _ in parse_qsl(query, keep_blank_values=True):
        if name not in _IGNORED:
            _refuse(name)


def _is_modifier(name: str, value: str) -> bool:
    if name in _RESERVED or _FILTER.match(value):
        _refuse(name)
    return name in _IGNORED


def _refuse(name: str) -> NoReturn:
    raise not_implemented(f"'{name}' cannot be applied to the result of a function yet")


def from_body(content_type: str, body: bytes) -> Arguments:
    """Arguments of a POST. Raises ApiError for a body or a type that cannot be read."""
    media_type = content_type.partition(";")[0].strip().lower() or JSON
    if media_type == FORM:
        return _from_pairs(parse_qsl(_text(body), keep_blank_values=True))
    if media_type in RAW_TYPES:
        return Arguments(
            frozenset(),
            # Postgres tells bytes from text by the type they arrive with.
            raw=body if media_type == _BYTES else _text(body),
            unnamed_types=_UNNAMED_TYPES[media_type],
            media_type=media_type,
        )
    if media_type != JSON:
        raise unreadable_body(f"Content-Type not acceptable: {media_type}")
    return _from_json(_text(body) or "{}")


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise unreadable_body() from error


def _from_pairs(pairs: Sequence[tuple[str, str]]) -> Arguments:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return Arguments(frozenset(values), values=values, media_type=FORM)


def _from_json(body: str) -> Arguments:
    document = _parse(body)
    many = isinstance(document, list)
    return Arguments(
        _names(document),
        document=body,
        many=many,
        raw=body,
        unnamed_types=_UNNAMED_TYPES[JSON],
    )


def _parse(body: str) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except ValueError as error:
        raise unreadable_body() from error


def _no_constant(name: str) -> NoReturn:
    """Python would read NaN and Infinity, JSON has no such thing."""
    raise ValueError(name)


def _names(document: Any) -> frozenset[str]:
    if isinstance(document, dict):
        return frozenset(document)
    if not isinstance(document, list) or not document:
        return frozenset()
    if not all(isinstance(element, dict) and element.keys() == document[0].keys() for element in document):
        raise unreadable_body("All object keys must match")
    return frozenset(document[0])
