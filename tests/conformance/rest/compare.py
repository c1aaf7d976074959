"""Tells where an answer differs from the recorded one.

JSON is compared by structure: the order of keys does not matter and 1.50 is 1.5, but a number is no text.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import chain
from typing import Any

from conformance.rest.case import Answer, Case

# A client acts on these, so they must be absent, too, where the real server sent none.
_MEANINGFUL = (
    *("content-range", "location", "preference-applied"),
    *("www-authenticate", "proxy-status", "retry-after"),
)


def differences(case: Case, answer: Answer) -> list[str]:
    found = chain(_of_status(case, answer), _of_headers(case, answer), _of_body(case, answer))
    return list(found)


def _of_status(case: Case, answer: Answer) -> Iterator[str]:
    if answer.status != case.response.status:
        yield f"status: expected {case.response.status}, received {answer.status}"


def _of_headers(case: Case, answer: Answer) -> Iterator[str]:
    expected = case.response.headers
    for name in expected:
        if _normal(name, answer.headers.get(name)) != _normal(name, expected[name]):
            yield f"{name}: expected {expected[name]!r}, received {answer.headers.get(name)!r}"
    for name in _MEANINGFUL:
        if name in answer.headers and name not in expected and name not in case.skip_headers:
            yield f"{name}: expected none, received {answer.headers[name]!r}"


def _normal(name: str, value: str | None) -> str | None:
    if value is None or name != "content-type":
        return value
    return ";".join(part.strip().lower() for part in value.split(";"))


def _of_body(case: Case, answer: Answer) -> Iterator[str]:
    expected = case.response
    if case.any_body:
        return
    if not expected.body or "json" not in expected.headers.get("content-type", ""):
        if answer.body != expected.body:
            yield f"body: expected {expected.body!r}, received {answer.body!r}"
        return
    try:
        received = _parse(answer.body)
    except ValueError:
        yield f"body: expected JSON, received {answer.body!r}"
    else:
        yield from json_differences(_parse(expected.body), received)


def _parse(text: str) -> Any:
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def json_differences(expected: Any, received: Any, at: str = "$") -> Iterator[str]:
    match expected, received:
        case dict(), dict():
            for key in sorted(expected.keys() - received.keys()):
                yield f"{at}.{key}: missing, expected {_show(expected[key])}"
            for key in sorted(received.keys() - expected.keys()):
                yield f"{at}.{key}: unexpected, received {_show(received[key])}"
            for key in sorted(expected.keys() & received.keys()):
                yield from json_differences(expected[key], received[key], f"{at}.{key}")
        case list(), list() if len(expected) == len(received):
            for index, pair in enumerate(zip(expected, received, strict=True)):
                yield from json_differences(*pair, f"{at}[{index}]")
        case _ if type(expected) is not type(received) or expected != received:
            yield f"{at}: expected {_show(expected)}, received {_show(received)}"


def _show(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
