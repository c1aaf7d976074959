"""Tables and views: their columns, their keys, and what may be done with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from localbase.rest.views import Origin, Origins, column_origins

Numbers = Sequence[int]


@dataclass(frozen=True, slots=True)
class Column:
    """A column, with the SQL expression of its default."""

    name: str
    number: int
    type: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Table:
    """A table or view; `keys` holds the sets of columns that are unique."""

    oid: int
    schema: str
    name: str
    exposed: bool
    is_view: bool
    insertable: bool
    updatable: bool
    deletable: bool
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...]
    keys: frozenset[frozenset[str]]
    origins: Origins

    @property
    def identifier(self) -> tuple[str, str]:
        return self.schema, self.name

    def named(self, numbers: Numbers) -> tuple[str, ...]:
        names = {column.number: name for name, column in self.columns.items()}
        return tuple(names[number] for number in numbers)

    def own_columns(self, table: int, numbers: Numbers) -> tuple[str, ...] | None:
        """This view's names for columns of a table, None when it lacks one of them."""
        own = {origin: column for column, origin in sorted(self.origins.items(), reverse=True)}
        found = [own[table, number] for number in numbers if (table, number) in own]
        return self.named(found) if len(found) == len(numbers) else None


def read_tables(documents: Sequence[Mapping[str, Any]]) -> Mapping[int, Table]:
    """By the number that Postgres gave each."""
    tables = {document["oid"]: _table(document) for document in documents}
    keys = {document["oid"]: document["primary_key"] for document in documents if document["primary_key"]}
    return {oid: _with_key(_traced(table, tables), keys) for oid, table in tables.items()}


def _table(document: Mapping[str, Any]) -> Table:
    plain = ("oid", "schema", "name", "exposed", "is_view", "insertable", "updatable", "deletable")
    table = Table(
        **{name: document[name] for name in plain},
        columns={column["name"]: Column(**column) for column in document["columns"]},
        primary_key=(),
        keys=frozenset(),
        origins=column_origins(document["rule"]) if document["rule"] else {},
    )
    return replace(
        table,
        primary_key=table.named(document["primary_key"]),
        keys=frozenset(frozenset(table.named(key)) for key in document["keys"]),
    )


def _traced(table: Table, tables: Mapping[int, Table]) -> Table:
    """The table with its columns traced through other views to where they really come from."""
    origins = {column: _source(origin, tables) for column, origin in table.origins.items()}
    return replace(table, origins=origins)


def _source(origin: Origin, tables: Mapping[int, Table]) -> Origin:
    table, number = origin
    if table not in tables or number not in tables[table].origins:
        return origin
    return _source(tables[table].origins[number], tables)


def _with_key(table: Table, keys: Mapping[int, Numbers]) -> Table:
    """A view has the primary keys of the tables that it shows them of."""
    bases = dict.fromkeys(oid for oid, _ in table.origins.values() if oid in keys)
    found = [table.own_columns(oid, keys[oid]) for oid in bases]
    names = [name for columns in found if columns for name in columns]
    return replace(table, primary_key=tuple(names)) if names else table


def allowed_methods(table: Table) -> str:
    """What may be done with a table, as the header Allow lists it."""
    methods = ["OPTIONS,GET,HEAD"]
    if table.insertable:
        methods.append("POST")
    if table.insertable and table.updatable and table.primary_key:
        methods.append("PUT")
    if table.updatable:
        methods.append("PATCH")
    if table.deletable:
        methods.append("DELETE")
    return ",".join(methods)
