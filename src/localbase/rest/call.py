"""Composes the statement that calls a function and lets Postgres build the body of the answer."""

from dataclasses import dataclass
from functools import lru_cache
from typing import LiteralString

from psycopg import sql

from localbase.rest.arguments import Arguments
from localbase.rest.catalog import Parameter, Routine
from localbase.rest.matching import takes_whole_body

# What is read after the function ran: the number of rows, the body, and what the function wants changed.
_ANSWER = sql.SQL("""
with called as ({call})
select
    pg_catalog.count(*),
    {body},
    nullif(pg_catalog.current_setting('response.status', true), ''),
    nullif(pg_catalog.current_setting('response.headers', true), '')
from (select * from called{limit}) as row
""")
_ONE = "coalesce((pg_catalog.json_agg({value}) -> 0)::text, 'null')"
_MANY = "coalesce(pg_catalog.json_agg({value}), '[]')::text"


@dataclass(frozen=True, slots=True)
class Call:
    """A statement and the values bound to it."""

    statement: bytes
    values: tuple[str | bytes | list[str], ...]


def compose_call(routine: Routine, arguments: Arguments, max_rows: int | None) -> Call:
    if arguments.raw is not None and takes_whole_body(routine, arguments):
        return Call(_whole_body_call(routine, max_rows), (arguments.raw,))
    given = tuple(parameter for parameter in routine.parameters if parameter.name in arguments.names)
    if arguments.document is not None and given:
        return Call(_document_call(routine, given, arguments.many, max_rows), (arguments.document,))
    return Call(_value_call(routine, given, max_rows), _bound(given, arguments))


def _bound(given: tuple[Parameter, ...], arguments: Arguments) -> tuple[str | list[str], ...]:
    """Query values in the order of the parameters: all of them for a variadic one, else the last."""
    values = arguments.values or {}
    return tuple(
        list(values[parameter.name]) if parameter.variadic else values[parameter.name][-1]
        for parameter in given
    )


# The statements of a function are few and its calls many.
@lru_cache(maxsize=1024)
def _whole_body_call(routine: Routine, max_rows: int | None) -> bytes:
    (parameter,) = routine.parameters
    return _statement(routine, sql.SQL("%s::{}").format(_type(parameter)), None, max_rows)


@lru_cache(maxsize=1024)
def _document_call(routine: Routine, given: tuple[Parameter, ...], many: bool, max_rows: int | None) -> bytes:
    reader = sql.SQL("json_to_recordset" if many else "json_to_record")
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(parameter.name), _type(parameter)) for parameter in given
    )
    source = sql.SQL("(select * from pg_catalog.{}(%s::json) as given({}) limit 1) as given").format(
        reader, columns
    )
    values = [sql.SQL("given.{}").format(sql.Identifier(parameter.name)) for parameter in given]
    return _statement(routine, _named(given, values), source, max_rows)


@lru_cache(maxsize=1024)
def _value_call(routine: Routine, given: tuple[Parameter, ...], max_rows: int | None) -> bytes:
    values = [sql.SQL("%s::{}").format(_type(parameter)) for parameter in given]
    return _statement(routine, _named(given, values), None, max_rows)


def _named(given: tuple[Parameter, ...], values: list[sql.Composed]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{}{} := {}").format(
            sql.SQL("variadic " if parameter.variadic else ""), sql.Identifier(parameter.name), value
        )
        for parameter, value in zip(given, values, strict=True)
    )


def _type(parameter: Parameter) -> sql.SQL:
    # The catalog's own spelling, quoted by Postgres where it needs quotes.
    return sql.SQL(parameter.type)  # pyright: ignore[reportArgumentType]


def _statement(
    routine: Routine, arguments: sql.Composable, source: sql.Composable | None, max_rows: int | None
) -> bytes:
    call = sql.SQL("{}({})").format(sql.Identifier(routine.schema, routine.name), arguments)
    return _ANSWER.format(
        call=_select(routine, call, source),
        body=sql.SQL(_body(routine)),
        limit=sql.SQL("") if max_rows is None else sql.SQL(" limit {}").format(sql.Literal(max_rows)),
    ).as_bytes()


def _select(routine: Routine, call: sql.Composable, source: sql.Composable | None) -> sql.Composed:
    if routine.composite:
        sources = [part for part in (source, call) if part is not None]
        return sql.SQL("select called.* from {} as called").format(sql.SQL(", lateral ").join(sources))
    return sql.SQL("select {} as value{}").format(
        call, sql.SQL("") if source is None else sql.SQL(" from {}").format(source)
    )


def _body(routine: Routine) -> LiteralString:
    if routine.void:
        return "null"
    template = _MANY if routine.set_returning else _ONE
    return template.format(value="row" if routine.composite else "row.value")
