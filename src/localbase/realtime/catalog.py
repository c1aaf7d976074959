"""Tables as the catalogue has them at the moment a change is delivered."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from itertools import groupby
from operator import itemgetter
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row


@dataclass(frozen=True, slots=True)
class Column:
    """`value_type` is what decides the JSON form: the base type, or that of an array's elements."""

    name: str
    type_name: str
    sql_type: str
    value_type: str
    delimiter: str | None
    is_key: bool
    readers: frozenset[str]

    @property
    def sql_type_name(self) -> sql.SQL:
        # From format_type, which quotes what needs quoting.
        return sql.SQL(self.sql_type)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True, slots=True)
class Table:
    oid: int
    schema: str
    name: str
    row_security: bool
    columns: tuple[Column, ...]

    @property
    def key(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.is_key)

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


_TABLES = """
select c.oid,
       n.nspname as schema,
       c.relname as table,
       c.relrowsecurity as row_security,
       a.attname as name,
       t.typname as type_name,
       format_type(a.atttypid, -1) as sql_type,
       coalesce(v.typname, b.typname) as value_type,
       case when v.oid is not null then b.typdelim end as delimiter,
       coalesce(a.attnum = any (i.indkey), false) as is_key,
       array(
           select r.rolname::text
           from pg_roles r
           where r.rolname = any (%(roles)s) and has_column_privilege(r.oid, c.oid, a.attnum, 'select')
       ) as readers
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
left join pg_type v on v.typarray = b.oid
left join pg_index i on i.indrelid = c.oid and i.indisprimary
where c.oid = any (%(oids)s)
order by c.oid, a.attnum
"""

_PUBLISHED = """
select c.oid
from pg_publication_tables p
join pg_namespace n on n.nspname = p.schemaname
join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
where p.pubname = 'supabase_realtime'
  and %(schema)s::text in ('*', p.schemaname)
  and %(table)s::text in ('*', p.tablename)
"""


async def read_tables(
    connection: AsyncConnection, oids: Collection[int], roles: Collection[str]
) -> dict[int, Table]:
    """The tables that (still) exist, with the columns each of the roles may read."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(_TABLES, {"oids": list(oids), "roles": list(roles)})
    rows = await cursor.fetchall()
    return {oid: _table(list(of_table)) for oid, of_table in groupby(rows, itemgetter("oid"))}


async def published_tables(connection: AsyncConnection, schema: str, table: str) -> list[int]:
    """The object ids of the published tables that names, each perhaps `*`, stand for."""
    cursor = await connection.execute(_PUBLISHED, {"schema": schema, "table": table})
    return [oid for (oid,) in await cursor.fetchall()]


def _table(rows: list[dict[str, Any]]) -> Table:
    first = rows[0]
    columns = tuple(_column(row) for row in rows)
    return Table(first["oid"], first["schema"], first["table"], first["row_security"], columns)


def _column(row: dict[str, Any]) -> Column:
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(Column)}
    values["readers"] = frozenset(row["readers"])
    return Column(**values)
