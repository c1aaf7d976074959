"""Builds the HTTP response of an answer."""

import json
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from urllib.parse import quote

from aiohttp import web

from localbase.rest.errors import (
    ApiError,
    bad_range,
    bad_response_headers,
    bad_response_status,
    not_single,
)
from localbase.rest.media import JSON, Media
from localbase.rest.operation import Demand
from localbase.rest.ranges import Range, content_range, range_status
from localbase.rest.transaction import Answer

_CHARSET = "charset=utf-8"
_LOWEST, _HIGHEST = 100, 999
Headers = Iterable[tuple[str, str]]


def error_response(error: ApiError) -> web.Response:
    response = web.Response(
        status=error.status,
        body=error.body(),
        headers=[("Content-Type", f"{JSON}; {_CHARSET}"), ("Proxy-Status", f"PostgREST; error={error.code}")],
    )
    for name, value in error.headers:
        response.headers[name] = value
    return response


def allowed_response(methods: str) -> web.Response:
    """The answer to OPTIONS."""
    response = web.Response(headers={"Allow": methods})
    # There is no body that could have a type.
    response.headers.popall("Content-Type", None)
    return response


def check_single(media: Media, answer: Answer) -> None:
    if media.single and answer.rows != 1:
        raise not_single(answer.rows)


def ranged_response(
    demand: Demand, media: Media | None, wanted: Range, answer: Answer, *regarded: str
) -> web.Response:
    """Rows that were read, of a table or of what a function gave; no media means that it gave nothing.

    `regarded` names preferences that count beside those that always do.
    """
    total = _total(demand, answer)
    last = wanted.first + answer.rows - 1
    headers = [
        ("Content-Range", content_range(wanted.first, last, total)),
        *demand.preferences.applied("count", "handling", "timezone", *regarded),
    ]
    if media is None:
        return finished(answer, HTTPStatus.NO_CONTENT, headers, None)
    headers.append(("Content-Type", media.content_type))
    status = range_status(wanted.first, answer.rows, total)
    if status is HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        details = f"An offset of {wanted.first} was requested, but there are only {total} rows."
        return finished(answer, status, headers, bad_range(details).body())
    return finished(answer, status, headers, body_of(answer))


def _total(demand: Demand, answer: Answer) -> int | None:
    """The number of rows there are, as exactly as the client wants to know it."""
    match demand.preferences.count:
        case "planned":
            return answer.estimate
        case "estimated" if answer.total is not None and answer.total > (demand.api.max_rows or answer.total):
            return max(answer.total, answer.estimate or 0)
    return answer.total


def finished(answer: Answer, status: int, headers: Headers, body: bytes | None) -> web.Response:
    """The response, after what the database itself wants of its head."""
    response = web.Response(status=_wanted_status(answer.status) or status, body=body)
    if body is None:
        response.headers.popall("Content-Type", None)
    for name, value in headers:
        response.headers[name] = value
    _add_headers(response, answer.headers)
    return response


def body_of(answer: Answer) -> bytes:
    body = answer.body or ""
    return body if isinstance(body, bytes) else body.encode()


def location_of(table: str, answer: Answer) -> list[tuple[str, str]]:
    """The address of the one row that was inserted."""
    if answer.location is None:
        return []
    pairs = json.loads(answer.location)
    parts = (
        f"{_quoted(key)}={'is.null' if value is None else 'eq.' + _quoted(value)}" for key, value in pairs
    )
    return [("Location", f"/{quote(table)}?{'&'.join(parts)}")]


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")


def _wanted_status(wanted: str | None) -> int | None:
    if wanted is None:
        return None
    if not (wanted.isascii() and wanted.isdecimal() and _LOWEST <= int(wanted) <= _HIGHEST):
        raise bad_response_status()
    return int(wanted)


def _add_headers(response: web.Response, wanted: str | None) -> None:
    seen: set[str] = set()
    for name, value in _header_list(wanted):
        # A function's header takes the place of the server's own; its repeats stand beside each other.
        if name.lower() not in seen:
            response.headers.popall(name, None)
        seen.add(name.lower())
        response.headers.add(name, value)


def _header_list(wanted: str | None) -> Sequence[tuple[str, str]]:
    if wanted is None:
        return ()
    try:
        objects = json.loads(wanted)
        pairs = [pair for single in objects for pair in _single(single).items()]
    except (ValueError, TypeError, AttributeError) as error:
        raise bad_response_headers() from error
    return pairs


def _single(value: object) -> dict[str, str]:
    if isinstance(value, dict) and len(value) == 1 and all(isinstance(item, str) for item in value.values()):
        return value
    raise TypeError(value)
