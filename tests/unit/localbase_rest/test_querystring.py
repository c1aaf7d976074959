"""Query strings become one value, or an error that says where and why."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localbase.rest.errors import ApiError
from localbase.rest.query import (
    ALL_COLUMNS,
    Compare,
    Embed,
    Field,
    Filter,
    Group,
    In,
    Is,
    IsDistinct,
    JsonStep,
    Operation,
    OrderTerm,
    Query,
    Search,
    SelectField,
)
from localbase.rest.querystring import read_query
from localbase.rest.ranges import NOTHING, Range


def test_nothing_asks_for_every_column() -> None:
    assert read_query("") == Query()
    assert read_query("").select == ALL_COLUMNS


@pytest.mark.parametrize(
    ("value", "operation"),
    [
        ("eq.a.b", Compare("eq", "a.b")),
        ("neq.1", Compare("neq", "1")),
        ("like(any).{a*,b}", Compare("like", "{a*,b}", "any")),
        ("gt(all).{1,2}", Compare("gt", "{1,2}", "all")),
        ('in.(1,"x,y",z)', In(("1", "x,y", "z"))),
        ("in.()", In(("",))),
        ("is.NULL", Is("null")),
        ("is.not_null", Is("not_null")),
        ("isdistinct.3", IsDistinct("3")),
        ("wfts(english).a b", Search("wfts", "english", "a b")),
        ("fts.a", Search("fts", None, "a")),
    ],
)
def test_operations(value: str, operation: Operation) -> None:
    query = read_query(f"x={quote(value)}&y=not.{quote(value)}")

    assert query.filters == (
        ((), Filter(Field("x"), operation)),
        ((), Filter(Field("y"), operation, negated=True)),
    )


def test_select() -> None:
    query = read_query("select=id, n:attrs->>pages::int,first:x->0->-1,*,...shop!inner!fk(*,at:city(name))")

    assert query.select == (
        SelectField(Field("id")),
        SelectField(Field("attrs", (JsonStep(as_text=True, operand="pages"),)), "n", "int"),
        SelectField(
            Field("x", (JsonStep(as_text=False, operand=0), JsonStep(as_text=False, operand=-1))), "first"
        ),
        *ALL_COLUMNS,
        Embed(
            "shop",
            (*ALL_COLUMNS, Embed("city", (SelectField(Field("name")),), "at")),
            hint="fk",
            join="inner",
            spread=True,
        ),
    )


def test_order_and_ranges_at_their_places() -> None:
    query = read_query("order=a.desc,shop(name).nullsfirst&lines.order=b&limit=5&offset=2&lines.limit=1")

    assert query.orders == (
        ((), (OrderTerm(Field("a"), "desc"), OrderTerm(Field("name"), None, "nullsfirst", "shop"))),
        (("lines",), (OrderTerm(Field("b")),)),
    )
    assert query.ranges == (((), Range(2, 6)), (("lines",), Range(0, 0)))
    assert query.range == Range(2, 6)


def test_no_rows_and_no_number() -> None:
    assert read_query("limit=0").range == NOTHING
    assert read_query("limit=two&offset=x") == Query(canonical="limit=two&offset=x")


def test_groups() -> None:
    query = read_query('lines.not.or=(a.eq."x,)",and(b.not.is.null,c.cs.{1,2}))')

    assert query.groups == (
        (
            ("lines",),
            Group(
                "or",
                (
                    Filter(Field("a"), Compare("eq", "x,)")),
                    Group(
                        "and",
                        (
                            Filter(Field("b"), Is("null"), negated=True),
                            Filter(Field("c"), Compare("cs", "{1,2}")),
                        ),
                    ),
                ),
                negated=True,
            ),
        ),
    )


def test_arguments_beside_filters() -> None:
    query = read_query("n=1&city=eq.oslo&n=2", arguments_too=True)

    assert query.arguments == (("n", "1"), ("n", "2"))
    assert query.filters == (((), Filter(Field("city"), Compare("eq", "oslo"))),)


@pytest.mark.parametrize(
    ("query", "where", "details"),
    [
        (
            "id=1",
            'filter (1)" (line 1, column 1)',
            'unexpected "1" expecting "not" or operator (eq, gt, ...)',
        ),
        (
            "order=id.ac",
            'order (id.ac)" (line 1, column 4)',
            'unexpected "c" expecting "asc", "desc", "nullsfirst" or "nullslast"',
        ),
        (
            "select=id,clients(name[])",
            'select parameter (id,clients(name[]))" (line 1, column 16)',
            'unexpected \'[\' expecting letter, digit, "-", "->>", "->", "::", ".", ")", "," or end of input',
        ),
        (
            "select=a::",
            'select parameter (a::)" (line 1, column 4)',
            "unexpected end of input expecting letter or digit",
        ),
        (
            "or=(id.eq.1,id.gt)",
            'logic tree ((id.eq.1,id.gt))" (line 1, column 17)',
            'unexpected ")" expecting operator (eq, gt, ...)',
        ),
        ("or=)(", 'logic tree ()()" (line 1, column 3)', 'unexpected ")" expecting "("'),
        (
            "columns=a,",
            'columns parameter (a,)" (line 1, column 3)',
            "unexpected end of input expecting field name (* or [a..z0..9_$])",
        ),
    ],
)
def test_errors_say_where_and_why(query: str, where: str, details: str) -> None:
    with pytest.raises(ApiError) as raised:
        read_query(query)

    error = raised.value
    assert (error.status, error.code) == (400, "PGRST100")
    assert error.message == f'"failed to parse {where}'
    assert error.details == details


@pytest.mark.parametrize("query", ["select=" + "a(" * 5000, "or=(" + "and(" * 5000])
def test_nesting_has_an_end(query: str) -> None:
    with pytest.raises(ApiError):
        read_query(query)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for arguments_too in (False, True):
        try:
            read_query(text, arguments_too=arguments_too)
        except ApiError as error:
            assert error.code == "PGRST100"  # noqa: PT017  most texts raise nothing


@given(
    st.sampled_from(["select", "order", "or", "not.and", "columns", "on_conflict", "limit", "a.b", "x"]),
    st.text(),
)
def test_any_value_is_read_or_refused(name: str, value: str) -> None:
    try:
        read_query(f"{name}={quote(value)}")
    except ApiError as error:
        assert error.code == "PGRST100"  # noqa: PT017  many values raise nothing


@given(st.text(min_size=1))
def test_values_come_through_whole(value: str) -> None:
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')

    word = quote('"' + quoted + '"')
    query = read_query(f"x=eq.{quote(value)}&or=(y.eq.{word},z.in.({word}))")

    assert query.filters == (((), Filter(Field("x"), Compare("eq", value))),)
    members = (Filter(Field("y"), Compare("eq", value)), Filter(Field("z"), In((value,))))
    assert query.groups == (((), Group("or", members)),)
