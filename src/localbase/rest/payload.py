"""The body of a request to a table, as JSON text with the names of its columns."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from localbase.rest.errors import unreadable_body
from localbase.rest.media import CSV, JSON

FORM = "application/x-www-form-urlencoded"
_NULL = "NULL"


@dataclass(frozen=True, slots=True)
class Payload:
    """`many` when the document is an array of rows, not one."""

    document: str
    columns: tuple[str, ...]
    many: bool


def read_payload(content_type: str, body: bytes, columns: frozenset[str] | None) -> Payload:
    """With `columns`, only these count, and the document is left for Postgres to judge. Raises ApiError."""
    media_type = media_type_of(content_type)
    text = text_of(body)
    if media_type == JSON:
        return _of_json(text) if columns is None else _of_columns(text, columns)
    if media_type == CSV:
        return _of_rows(_csv_rows(text))
    if media_type == FORM:
        fields = dict(parse_qsl(text, keep_blank_values=True))
        return Payload(json.dumps(fields), tuple(sorted(fields)), many=False)
    raise unreadable_body(f"Content-Type not acceptable: {media_type}")


def media_type_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower() or JSON


def text_of(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise unreadable_body() from error


def parse_json(body: str) -> Any:
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise unreadable_body() from error


def _no_constant(name: str) -> NoReturn:
    """Python would read NaN and Infinity, JSON has no such thing."""
    raise ValueError(name)


def shared_names(document: Any) -> frozenset[str]:
    """The keys of an object, or of all objects of an array. Raises ApiError where they differ."""
    if isinstance(document, dict):
        return frozenset(document)
    if not isinstance(document, list) or not document:
        return frozenset()
    if not all(isinstance(element, dict) and element.keys() == document[0].keys() for element in document):
        raise unreadable_body("All object keys must match")
    return frozenset(document[0])


def _of_json(text: str) -> Payload:
    document = parse_json(text)
    if not isinstance(document, dict | list):
        return Payload("[]", (), many=True)
    return Payload(text, tuple(sorted(shared_names(document))), many=isinstance(document, list))


def _of_columns(text: str, columns: frozenset[str]) -> Payload:
    return Payload(text, tuple(sorted(columns)), many=not text.lstrip(" \t\r\n").startswith("{"))


def _of_rows(rows: Sequence[dict[str, str | None]]) -> Payload:
    if rows and any(row.keys() != rows[0].keys() for row in rows):
        raise unreadable_body("All lines must have same number of fields")
    columns = sorted(rows[0]) if rows else []
    return Payload(json.dumps(rows), tuple(columns), many=True)


def _csv_rows(text: str) -> list[dict[str, str | None]]:
    lines = [line for line in csv.reader(text.splitlines(keepends=True)) if line]
    if not lines:
        raise unreadable_body("parse error (not enough input)")
    header, *rows = lines
    return [
        {name: None if value == _NULL else value for name, value in zip(header, row, strict=False)}
        for row in rows
    ]
