"""The arguments of a call, read from a request's body or query string."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from localbase.rest.errors import unreadable_body
from localbase.rest.media import CSV, JSON
from localbase.rest.payload import FORM, media_type_of, parse_json, read_payload, shared_names, text_of

_BYTES = "application/octet-stream"
# Bodies that are handed on whole, and the type of the unnamed argument that takes them.
RAW_TYPES = {"text/plain": ("text",), "text/xml": ("xml",), _BYTES: ("bytea",)}
_UNNAMED_TYPES = {**RAW_TYPES, JSON: ("json", "jsonb")}


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


def from_pairs(pairs: Sequence[tuple[str, str]]) -> Arguments:
    """Arguments of a GET or of a form."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return Arguments(frozenset(values), values=values, media_type=FORM)


def from_body(content_type: str, body: bytes, columns: frozenset[str] | None = None) -> Arguments:
    """Arguments of a POST, `columns` being all that count. Raises ApiError for what cannot be read."""
    media_type = media_type_of(content_type)
    if media_type == FORM:
        return from_pairs(parse_qsl(text_of(body), keep_blank_values=True))
    if media_type == CSV:
        return _from_csv(content_type, body)
    if media_type in RAW_TYPES:
        return Arguments(
            frozenset(),
            # Postgres tells bytes from text by the type they arrive with.
            raw=body if media_type == _BYTES else text_of(body),
            unnamed_types=_UNNAMED_TYPES[media_type],
            media_type=media_type,
        )
    if media_type != JSON:
        raise unreadable_body(f"Content-Type not acceptable: {media_type}")
    return _from_json(text_of(body) or "{}", columns)


def _from_json(body: str, columns: frozenset[str] | None) -> Arguments:
    document = None if columns is not None else parse_json(body)
    return Arguments(
        shared_names(document) if columns is None else columns,
        document=body,
        many=not body.lstrip().startswith("{") if columns is not None else isinstance(document, list),
        raw=body,
        unnamed_types=_UNNAMED_TYPES[JSON],
    )


def _from_csv(content_type: str, body: bytes) -> Arguments:
    rows = read_payload(content_type, body, None)
    return Arguments(
        frozenset(rows.columns),
        document=rows.document,
        many=True,
        raw=rows.document,
        unnamed_types=(),
        media_type=CSV,
    )
