"""Builds the HTTP response of a call."""

import json
from collections.abc import Sequence
from http import HTTPStatus

from aiohttp import web

from localbase.rest.catalog import Routine
from localbase.rest.errors import (
    ApiError,
    bad_response_headers,
    bad_response_status,
    no_media_type,
    not_single,
)
from localbase.rest.transaction import Answer

JSON = "application/json"
SINGLE = "application/vnd.pgrst.object+json"
_ANYTHING = ("*/*", "application/*")
_CHARSET = "charset=utf-8"
_LOWEST, _HIGHEST = 100, 999


def error_response(error: ApiError) -> web.Response:
    response = web.Response(
        status=error.status,
        body=error.body(),
        headers=[("Content-Type", f"{JSON}; {_CHARSET}"), ("Proxy-Status", f"PostgREST; error={error.code}")],
    )
    for name, value in error.headers:
        response.headers[name] = value
    return response


def negotiate(accept: str) -> str:
    """The media type of the answer, the first acceptable of those asked for. Raises ApiError."""
    asked = [part.partition(";")[0].strip().lower() for part in accept.split(",") if part.strip()]
    for media_type in asked or [JSON]:
        if media_type in _ANYTHING or media_type == JSON:
            return JSON
        if media_type in (SINGLE, "application/vnd.pgrst.object"):
            return SINGLE
    raise no_media_type(asked)


def call_response(routine: Routine, answer: Answer, media_type: str) -> web.Response:
    body = _body(routine, answer, media_type)
    default = HTTPStatus.NO_CONTENT if routine.void else HTTPStatus.OK
    response = web.Response(status=_status(answer.status) or default, body=body)
    response.headers["Content-Range"] = f"0-{answer.rows - 1}/*" if answer.rows else "*/*"
    if not routine.void:
        response.headers["Content-Type"] = f"{media_type}; {_CHARSET}"
    _add_headers(response, answer.headers)
    return response


def _body(routine: Routine, answer: Answer, media_type: str) -> bytes | None:
    if routine.void or answer.body is None:
        return None
    if media_type != SINGLE or not routine.set_returning:
        return answer.body.encode()
    if answer.rows != 1:
        raise not_single(answer.rows)
    # Postgres made an array of one element; what is inside the brackets is the element as it wrote it.
    return answer.body.strip().removeprefix("[").removesuffix("]").strip().encode()


def _status(wanted: str | None) -> int | None:
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
