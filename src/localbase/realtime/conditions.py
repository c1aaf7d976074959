"""Filters evaluated by Postgres itself: its types and operators decide, so no rule is told twice."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

from psycopg import AsyncConnection, sql

from localbase.realtime.catalog import Column, Table
from localbase.realtime.filters import Condition, Operator
from localbase.realtime.pgoutput import UNCHANGED, Row, Unchanged

_COMPARISONS = {
    Operator.EQ: sql.SQL("="),
    Operator.NEQ: sql.SQL("<>"),
    Operator.LT: sql.SQL("<"),
    Operator.LTE: sql.SQL("<="),
    Operator.GT: sql.SQL(">"),
    Operator.GTE: sql.SQL(">="),
    Operator.LIKE: sql.SQL("like"),
    Operator.ILIKE: sql.SQL("ilike"),
    Operator.MATCH: sql.SQL("~"),
    Operator.IMATCH: sql.SQL("~*"),
    Operator.ISDISTINCT: sql.SQL("is distinct from"),
}
_TRUTH = {
    "null": sql.SQL("is null"),
    "true": sql.SQL("is true"),
    "false": sql.SQL("is false"),
    "unknown": sql.SQL("is unknown"),
}
PATTERNS = frozenset({Operator.LIKE, Operator.ILIKE, Operator.MATCH, Operator.IMATCH})
TRUTH_VALUES = frozenset(_TRUTH)

_QUERY = sql.SQL("select {tests} from rows from ({rows}) with ordinality as r({names}, at) order by at")
# Many listeners, each with its own value of one column: a test for each takes longer to plan than to run.
_EQUALITIES = sql.SQL(
    "(select array_agg(coalesce({alias}::{type} = v::{type}, false) order by n)"
    " from unnest(%s::text[]) with ordinality as u(v, n))"
)


async def evaluate(
    connection: AsyncConnection, table: Table, conditions: Sequence[Condition], rows: Sequence[Row]
) -> list[list[bool]]:
    """For each row, which conditions hold. A row that lacks a condition's column does not meet it."""
    columns = list({condition.column: None for condition in conditions})
    aliases = {name: sql.Identifier(f"c{at}") for at, name in enumerate(columns)}
    equalities, others = _parted(table, conditions)
    tests = [_equalities(column, aliases[column.name]) for column in equalities]
    if others:
        single = (_test(table, condition, aliases[condition.column]) for condition in others)
        tests.append(sql.SQL("array[{}]").format(sql.SQL(", ").join(single)))
    query = _QUERY.format(
        tests=sql.SQL(" || ").join(tests),
        rows=sql.SQL(", ").join(sql.SQL("unnest(%s::text[])") for _ in columns),
        names=sql.SQL(", ").join(aliases.values()),
    )
    values = [[condition.value for condition in same] for same in equalities.values()]
    texts = [[_text(row.get(name)) for row in rows] for name in columns]
    cursor = await connection.execute(query, [*values, *(condition.value for condition in others), *texts])
    order = [*chain.from_iterable(equalities.values()), *others]
    held = (
        {c for c, holds in zip(order, tested, strict=True) if holds} for (tested,) in await cursor.fetchall()
    )
    return [
        [condition in true and _known(row, condition) for condition in conditions]
        for row, true in zip(rows, held, strict=True)
    ]


def _parted(
    table: Table, conditions: Sequence[Condition]
) -> tuple[dict[Column, list[Condition]], list[Condition]]:
    """The plain equalities of each column, and all other conditions."""
    equalities: dict[Column, list[Condition]] = {}
    others = []
    for condition in conditions:
        column = table.column(condition.column)
        if column is None or condition.operator is not Operator.EQ or condition.negated:
            others.append(condition)
        else:
            equalities.setdefault(column, []).append(condition)
    return equalities, others


def _equalities(column: Column, alias: sql.Identifier) -> sql.Composable:
    """An array of truths, with one placeholder, for the values of the conditions."""
    return _EQUALITIES.format(alias=alias, type=column.sql_type_name)


def _known(row: Row, condition: Condition) -> bool:
    return not isinstance(row.get(condition.column, UNCHANGED), Unchanged)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _test(table: Table, condition: Condition, alias: sql.Identifier) -> sql.Composable:
    """An expression with one placeholder, for the condition's value."""
    column = table.column(condition.column)
    if column is None:
        return sql.SQL("%s::text is null and false")
    negation = sql.SQL("not " if condition.negated else "")
    return sql.SQL("coalesce({}({}), false)").format(negation, _comparison(condition, column, alias))


def _comparison(condition: Condition, column: Column, alias: sql.Identifier) -> sql.Composable:
    type_name = column.sql_type_name
    match condition.operator:
        case Operator.IS:
            truth = _TRUTH[condition.value]
            return sql.SQL("{}::{} {} and %s::text is not null").format(alias, type_name, truth)
        case Operator.IN:
            return sql.SQL("{}::{} = any (%s::text::{}[])").format(alias, type_name, type_name)
        case pattern if pattern in PATTERNS:
            return sql.SQL("{}::text {} %s::text").format(alias, _COMPARISONS[pattern])
    operator = _COMPARISONS[condition.operator]
    return sql.SQL("{}::{} {} %s::text::{}").format(alias, type_name, operator, type_name)
