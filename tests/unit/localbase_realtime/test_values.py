from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localbase.realtime.values import to_json


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("int8", "-9223372036854775808", -9223372036854775808),
        ("numeric", "12345678901234567890.123456789", 1.2345678901234567e19),
        ("numeric", "10.0000", 10.0),
        ("numeric", "NaN", None),
        ("float8", "1e+300", 10**300),
        ("float8", "-Infinity", None),
        ("float4", "1e-07", 1e-07),
        ("bool", "t", True),
        ("bool", "f", False),
        ("jsonb", '{"a": [1, 2.50, null]}', {"a": [1, 2.5, None]}),
        ("timestamptz", "2024-03-01 10:34:56.789012+00", "2024-03-01T10:34:56.789012+00:00"),
        ("timestamptz", "0044-03-15 12:00:00+00 BC", "0044-03-15T12:00:00+00:00 BC"),
        ("json", '{"a": [1e2, 1.5e-1]}', {"a": [100, 0.15]}),
        ("timestamptz", "infinity", "infinity"),
        ("timestamp", "2024-03-01 12:34:56", "2024-03-01T12:34:56"),
        ("bytea", "\\xdeadbeef", "deadbeef"),
        ("bpchar", "ab   ", "a"),
        ("bit", "1010", "1"),
        ("uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("money", "$12.34", "$12.34"),
    ],
)
def test_to_json(type_name: str, text: str, value: Any) -> None:
    result = to_json(text, type_name)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("type_name", "text", "value"),
    [
        ("int4", "{}", []),
        ("int4", "{1,2,NULL}", [1, 2, None]),
        ("int4", "{{1,2},{3,4}}", [[1, 2], [3, 4]]),
        ("int4", "[0:1]={7,8}", [7, 8]),
        ("text", r'{x,"y z","q\"uote",NULL,"com,ma","NULL","","back\\slash","{","}"}',
         ["x", "y z", 'q"uote', None, "com,ma", "NULL", "", "back\\slash", "{", "}"]),
    ],
)  # fmt: skip
def test_to_json__arrays(type_name: str, text: str, value: Any) -> None:
    assert to_json(text, type_name, ",") == value


def test_to_json__boxes_are_separated_by_semicolons() -> None:
    assert to_json("{(1,1),(0,0);(2,2),(1,1)}", "box", ";") == ["(1,1),(0,0)", "(2,2),(1,1)"]


@pytest.mark.parametrize("delimiter", [None, ","])
def test_to_json__null(delimiter: str | None) -> None:
    assert to_json(None, "text", delimiter) is None


@given(st.lists(st.none() | st.text()))
def test_to_json__any_quoted_text_comes_through(items: list[str | None]) -> None:
    def quoted(item: str | None) -> str:
        if item is None:
            return "NULL"
        escaped = item.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    assert to_json(f"{{{','.join(map(quoted, items))}}}", "text", ",") == items


def test_to_json__numbers_beyond_those_of_postgres_are_refused() -> None:
    with pytest.raises(ValueError, match="too many digits"):
        to_json("1e999999999", "json")
