"""The comparison notices what a client could tell."""

from dataclasses import replace

import pytest

from conformance.rest.case import Answer, Case
from conformance.rest.compare import differences

_JSON = {"content-type": "application/json; charset=utf-8", "content-range": "0-0/*"}
_CASE = Case("x", "g", "GET", "/x", {}, None, "anon", Answer(200, _JSON, '[{"a":1.50,"b":null}]'))


def test_order_of_keys_and_notation_of_numbers_do_not_count() -> None:
    headers = {**_JSON, "content-type": "application/json;charset=UTF-8", "date": "now"}

    assert differences(_CASE, Answer(200, headers, ' [{"b": null, "a": 1.5}]')) == []


@pytest.mark.parametrize(
    ("status", "headers", "body", "difference"),
    [
        (201, {}, None, "status: expected 200, received 201"),
        (200, {"content-range": "0-1/*"}, None, "content-range: expected '0-0/*', received '0-1/*'"),
        (200, {"location": "/x"}, None, "location: expected none, received '/x'"),
        (200, {}, '[{"a":"1.5","b":null}]', '$[0].a: expected "1.50", received "1.5"'),
        (200, {}, '[{"a":1.5}]', "$[0].b: missing, expected null"),
        (200, {}, '[{"a":1.5,"b":null,"c":true}]', "$[0].c: unexpected, received true"),
        (200, {}, "[]", '$: expected [{"a": "1.50", "b": null}], received []'),
        (200, {}, "", "body: expected JSON, received ''"),
    ],
)
def test_tells_a_difference(status: int, headers: dict[str, str], body: str | None, difference: str) -> None:
    answer = Answer(status, _JSON | headers, _CASE.response.body if body is None else body)

    assert differences(_CASE, answer) == [difference]


def test_text_is_compared_exactly() -> None:
    case = replace(_CASE, response=Answer(200, {"content-type": "text/csv"}, "a\n1"))

    assert differences(case, Answer(200, {"content-type": "text/csv"}, "a\n1\n")) == [
        "body: expected 'a\\n1', received 'a\\n1\\n'"
    ]
