from typing import Any

import pytest

from localbase.realtime.bindings import Binding, BindingError, parse_binding


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"schema": "s", "table": "t", "event": "INSERT"}, Binding("s", "t", "INSERT")),
        ({"table": "t", "event": "insert"}, Binding("public", "t", "INSERT")),
        ({"schema": "s"}, Binding("s", "*", "*")),
        ({"schema": "s", "table": "t", "event": 5, "filter": ""}, Binding("s", "t", "*")),
        ({"schema": "s", "table": "t", "event": "TRUNCATE", "x": 1}, Binding("s", "t", "*")),
        ({"schema": "s", "table": "t", "select": ["a"]}, Binding("s", "t", "*", select=("a",))),
    ],
)
def test_parse_binding(params: dict[str, Any], expected: Binding) -> None:
    assert parse_binding(params) == expected


@pytest.mark.parametrize(
    ("params", "quoted"),
    [
        ({}, "%{}"),
        ({"event": "INSERT"}, '%{"event" => "INSERT"}'),
        ({"schema": "public", "table": 5}, '%{"schema" => "public", "table" => 5}'),
        (
            {"schema": "s", "table": "t", "filter": None},
            '%{"filter" => nil, "schema" => "s", "table" => "t"}',
        ),
        ({"schema": "s", "filter": "a=eq.1"}, '%{"filter" => "a=eq.1", "schema" => "s"}'),
    ],
)
def test_parse_binding__quotes_what_names_no_table(params: dict[str, Any], quoted: str) -> None:
    with pytest.raises(BindingError) as failure:
        parse_binding(params)

    assert str(failure.value).endswith(f"to subscribe to: {quoted}")


@pytest.mark.parametrize("select", ["id,title", [1], {}])
def test_parse_binding__selection_is_a_list_of_names(select: Any) -> None:
    with pytest.raises(BindingError, match="Error parsing `select` params"):
        parse_binding({"schema": "s", "table": "t", "select": select})


def test_parse_binding__no_selection_of_all_tables() -> None:
    with pytest.raises(BindingError, match="not supported for wildcard subscriptions"):
        parse_binding({"schema": "s", "table": "*", "select": ["id"]})


@pytest.mark.parametrize(
    ("binding", "covered"),
    [
        (Binding("s", "t", "*"), True),
        (Binding("*", "*", "INSERT"), True),
        (Binding("s", "t", "DELETE"), False),
        (Binding("s", "other", "*"), False),
        (Binding("other", "*", "*"), False),
    ],
)
def test_covers(binding: Binding, covered: bool) -> None:
    assert binding.covers("s", "t", "INSERT") is covered


def test_str__is_how_errors_quote_it() -> None:
    binding = parse_binding({"schema": "s", "table": "t", "filter": "a=not.eq.1", "select": ["a"]})

    assert str(binding) == (
        '[event: *, schema: s, table: t, filters: [{"a", "eq", "1", true}], select: ["a"]]'
    )


def test_str__long_filters_go_over_lines() -> None:
    listed = ",".join(map(str, range(40)))
    binding = parse_binding({"schema": "s", "table": "t", "filter": f"n=in.({listed})"})

    assert f'filters: [\n  {{"n", "in",\n   "{{{listed}}}",\n   false}}\n], select: nil]' in str(binding)
