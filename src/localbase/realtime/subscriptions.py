"""Who listens to database changes, and the check of what a client asked for before it is listened to."""

import re
from dataclasses import dataclass

from psycopg import AsyncConnection, errors, sql

from localbase.realtime.bindings import Binding, BindingError, parse_binding
from localbase.realtime.catalog import Column, Table, published_tables, read_tables
from localbase.realtime.channel import Channel
from localbase.realtime.conditions import PATTERNS, TRUTH_VALUES
from localbase.realtime.filters import Condition, Operator
from localbase.realtime.identity import Identity
from localbase.realtime.pgoutput import Change

MAX_LIST = 100
_UNABLE = "Unable to subscribe to changes with given parameters."


@dataclass(frozen=True, slots=True)
class Subscription:
    """A binding under the identity its channel had when it was checked."""

    channel: Channel
    binding_id: int
    binding: Binding
    identity: Identity


class Subscriptions:
    """All that is listened to now."""

    def __init__(self) -> None:
        self._of_channel: dict[Channel, list[Subscription]] = {}
        self._covering: dict[tuple[str, str, str], list[Subscription]] = {}

    def put(self, channel: Channel, subscriptions: list[Subscription]) -> None:
        self._of_channel[channel] = subscriptions
        self._covering.clear()

    def remove(self, channel: Channel) -> None:
        self._of_channel.pop(channel, None)
        self._covering.clear()

    def covering(self, change: Change) -> list[Subscription]:
        """Whom a change concerns by its table and operation."""
        place = change.relation.schema, change.relation.name, change.operation.value
        if place not in self._covering:
            self._covering[place] = [
                subscription
                for subscriptions in self._of_channel.values()
                for subscription in subscriptions
                if subscription.binding.covers(*place)
            ]
        return self._covering[place]


async def check(connection: AsyncConnection, channel: Channel, identity: Identity) -> list[Subscription]:
    """The subscriptions a channel's parameters stand for. Raises BindingError or FilterError."""
    bindings = [parse_binding(params) for params in channel.join.bindings]
    for binding in bindings:
        await _check_binding(connection, binding, identity.role)
    return [
        Subscription(channel, binding_id, binding, identity)
        for binding_id, binding in zip(channel.binding_ids, bindings, strict=True)
    ]


async def _check_binding(connection: AsyncConnection, binding: Binding, role: str) -> None:
    try:
        oids = await published_tables(connection, binding.schema, binding.table)
        await connection.execute("select quote_ident(%s)::regrole", [role])
        for table in (await read_tables(connection, oids, [role])).values():
            await _check_columns(connection, binding, table, role)
    except errors.OperationalError:
        raise
    except errors.Error as error:
        raise BindingError(
            f"{_UNABLE} An exception happened so please check your connect parameters: {binding}. "
            f"Exception: {_quote(error)}"
        ) from error
    if not oids:
        raise BindingError(
            f"{_UNABLE} Please check Realtime is enabled for the given connect parameters: {binding}"
        )


async def _check_columns(connection: AsyncConnection, binding: Binding, table: Table, role: str) -> None:
    readable = {column.name: column for column in table.columns if role in column.readers}
    for condition in binding.conditions:
        if condition.column not in readable:
            raise errors.RaiseException(f"invalid column for filter {condition.column}")
        await _check_condition(connection, condition, readable[condition.column])
    for name in binding.select:
        if name not in readable:
            raise errors.RaiseException(f"invalid column for select {name}")


async def _check_condition(connection: AsyncConnection, condition: Condition, column: Column) -> None:
    match condition.operator:
        case Operator.IS:
            if condition.value not in TRUTH_VALUES:
                raise errors.RaiseException(
                    "invalid value for is filter: must be null, true, false, or unknown"
                )
        case operator if operator in PATTERNS:
            await _check_pattern(connection, condition, column)
        case Operator.IN:
            await _check_list(connection, condition, column)
        case _:
            query = sql.SQL("select %s::text::{}").format(column.sql_type_name)
            await connection.execute(query, [condition.value])


async def _check_pattern(connection: AsyncConnection, condition: Condition, column: Column) -> None:
    operator = condition.operator
    if column.value_type not in ("text", "varchar", "bpchar", "name", "citext") or column.delimiter:
        raise errors.RaiseException(
            f"operator {operator} requires a text-compatible column type, got {column.sql_type}"
        )
    if operator in (Operator.MATCH, Operator.IMATCH):
        try:
            await connection.execute("select '' ~ %s", [condition.value])
        except errors.InvalidRegularExpression as error:
            reason = error.diag.message_primary
            raise errors.RaiseException(
                f"invalid regular expression for {operator} filter: {reason}"
            ) from error


async def _check_list(connection: AsyncConnection, condition: Condition, column: Column) -> None:
    query = sql.SQL("select cardinality(%s::text::{}[])").format(column.sql_type_name)
    row = await (await connection.execute(query, [condition.value])).fetchone()
    if row and row[0] > MAX_LIST:
        raise errors.RaiseException(f"too many values for `in` filter. Maximum {MAX_LIST}")


def _quote(error: errors.Error) -> str:
    """The error as the server writes it, with the name of its condition: `undefined_object`."""
    condition = re.sub(r"(?<=.)(?=[A-Z])", "_", type(error).__name__).lower()
    return f"ERROR {error.sqlstate} ({condition}) {error.diag.message_primary or error}"
