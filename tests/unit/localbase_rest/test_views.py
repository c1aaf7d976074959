"""The origins of a view's columns, out of the form Postgres stores."""

from localbase.rest.views import column_origins


def _entry(number: int, table: int, column: int, name: str = "x", inner: str = "{VAR :varno 1}") -> str:
    return (
        f"{{TARGETENTRY :expr {inner} :resno {number} :resname {name} :ressortgroupref 0"
        f" :resorigtbl {table} :resorigcol {column} :resjunk false}}"
    )


def _rule(*entries: str, tables: str = "<>") -> str:
    return f"({{QUERY :commandType 1 :rtable {tables} :targetList ({' '.join(entries)}) :override 0}})"


def test_columns_of_tables() -> None:
    assert column_origins(_rule(_entry(1, 16531, 1), _entry(2, 16487, 4))) == {1: (16531, 1), 2: (16487, 4)}


def test_expressions_have_no_origin() -> None:
    inner = "{FUNCEXPR :funcid 870 :args ({VAR :varno 1} {CONST :constvalue 4})}"

    assert column_origins(_rule(_entry(1, 0, 0, inner=inner), _entry(2, 5, 2))) == {2: (5, 2)}


def test_subqueries_are_not_looked_into() -> None:
    nested = "({RANGETBLENTRY :subquery {QUERY :targetList (" + _entry(1, 7, 7) + ")}})"

    assert column_origins(_rule(_entry(1, 5, 2), tables=nested)) == {1: (5, 2)}


def test_braces_in_names_do_not_nest() -> None:
    assert column_origins(_rule(_entry(1, 5, 2, name=r"od\}d\{"))) == {1: (5, 2)}
