"""Which rows an identity may see: asked of Postgres, as that identity, at the moment of delivery."""

import logging
from collections.abc import Sequence

from psycopg import AsyncConnection, OperationalError, errors, sql

from localbase.realtime.catalog import Table
from localbase.realtime.identity import Identity
from localbase.realtime.pgoutput import Row

_LOG = logging.getLogger(__name__)
_ASSUME = "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)"
_VISIBLE = sql.SQL("""
    select k.at
    from rows from ({keys}) with ordinality as k({names}, at)
    where exists (select from {table} t where {same})
""")


async def assume(connection: AsyncConnection, identity: Identity) -> None:
    """Act as the identity until the end of the transaction."""
    await connection.execute(_ASSUME, [identity.role, identity.claims])


async def visible(
    connection: AsyncConnection, table: Table, identity: Identity, rows: Sequence[Row]
) -> set[int]:
    """The indexes of the rows whose keys the identity finds in the table."""
    query, keys = _query(table, rows)
    try:
        async with connection.transaction():
            await connection.execute("set transaction read only")
            await assume(connection, identity)
            found = await (await connection.execute(query, keys)).fetchall()
    except OperationalError:
        raise
    except errors.Error as error:
        # A policy that fails, or a schema without usage: nobody may conclude anything from that row.
        _LOG.warning("policies of %s.%s: %s", table.schema, table.name, error)
        return set()
    return {at - 1 for (at,) in found}


def _query(table: Table, rows: Sequence[Row]) -> tuple[sql.Composed, list[list[str | None]]]:
    names = [sql.Identifier(f"k{at}") for at in range(len(table.key))]
    same = (
        sql.SQL("t.{} = k.{}::{}").format(sql.Identifier(column.name), name, column.sql_type_name)
        for column, name in zip(table.key, names, strict=True)
    )
    query = _VISIBLE.format(
        keys=sql.SQL(", ").join(sql.SQL("unnest(%s::text[])") for _ in names),
        names=sql.SQL(", ").join(names),
        table=table.identifier,
        same=sql.SQL(" and ").join(same),
    )
    return query, [[_text(row.get(column.name)) for row in rows] for column in table.key]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
