import pytest

from localbase.statements import Statement, split_statements


def texts(script: str) -> list[str]:
    return [statement.text for statement in split_statements(script)]


@pytest.mark.parametrize(
    "statement",
    [
        "select ';'",
        "select 'it''s; fine'",
        r"select e'\';'",
        'select "a;b"',
        "do $$ begin perform 1; end $$",
        "do $body$ begin perform '$$;'; end $body$",
        "select 1 /* ; /* ; */ ; */ + 1",
        "select 1 -- ;\n + 1",
        "create rule r as on insert to t do also (select 1; select 2)",
        "create function f() returns int language sql begin atomic select 1; select 2; end",
        "create function f() returns int begin atomic select case when true then 1 end; select 2; end",
        "select $1, a$b$c",
    ],
)
def test_semicolon_inside_ends_nothing(statement: str) -> None:
    assert texts(f"{statement};\nselect 'next';") == [statement, "select 'next'"]


def test_comments_belong_to_the_statement_below() -> None:
    assert split_statements("select 1;\n\n-- two\n/* three */\nselect 2") == [
        Statement("select 1", start=1, line=1),
        Statement("-- two\n/* three */\nselect 2", start=3, line=5),
    ]


@pytest.mark.parametrize("script", ["", " \n", "-- only a comment", ";;", "/* never closed"])
def test_nothing_to_run(script: str) -> None:
    assert texts(script) == []


@pytest.mark.parametrize("script", ["select 'open", "do $$ open", 'select "open', "select e'open"])
def test_open_quote_reaches_to_the_end(script: str) -> None:
    assert texts(f"{script}; select 2;") == [f"{script}; select 2;"]


def test_transaction_is_no_atomic_body() -> None:
    assert texts("begin; select 1; end;") == ["begin", "select 1", "end"]
