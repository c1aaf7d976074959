"""Bodies of requests to tables."""

import json

import pytest

from localbase.rest.errors import ApiError
from localbase.rest.payload import Payload, read_payload


def test_json() -> None:
    one = read_payload("application/json; charset=utf-8", b'{"b": 1, "a": 2}', None)
    many = read_payload("", b'[{"a": 1}, {"a": 2}]', None)

    assert one == Payload('{"b": 1, "a": 2}', ("a", "b"), many=False)
    assert many == Payload('[{"a": 1}, {"a": 2}]', ("a",), many=True)
    assert read_payload("", b"5", None) == Payload("[]", (), many=True)


def test_with_columns_the_document_is_not_looked_at() -> None:
    assert read_payload("", b' {"a": nope', frozenset("ba")) == Payload(' {"a": nope', ("a", "b"), many=False)
    assert read_payload("", b"[]", frozenset("a")).many


def test_csv() -> None:
    payload = read_payload("text/csv", b'name,city\r\n"Fern, Inc",NULL\n\nGorse,oslo\n', None)

    assert json.loads(payload.document) == [
        {"name": "Fern, Inc", "city": None},
        {"name": "Gorse", "city": "oslo"},
    ]
    assert (payload.columns, payload.many) == (("city", "name"), True)


def test_form() -> None:
    payload = read_payload("application/x-www-form-urlencoded", b"a=1&b=x+y", None)

    assert json.loads(payload.document) == {"a": "1", "b": "x y"}


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("", b"", "Empty or invalid json"),
        ("", b"{nope", "Empty or invalid json"),
        ("", b"\xff", "Empty or invalid json"),
        ("", b'{"a": NaN}', "Empty or invalid json"),
        ("", b'[{"a": 1}, {"b": 1}]', "All object keys must match"),
        ("", b"[1]", "All object keys must match"),
        ("text/csv", b"a,b\n1,2\n3\n", "All lines must have same number of fields"),
        ("application/x-yaml", b"a: 1", "Content-Type not acceptable: application/x-yaml"),
    ],
)
def test_refusals(content_type: str, body: bytes, message: str) -> None:
    with pytest.raises(ApiError) as raised:
        read_payload(content_type, body, None)

    assert (raised.value.code, raised.value.message) == ("PGRST102", message)
