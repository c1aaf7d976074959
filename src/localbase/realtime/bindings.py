"""What one entry of a join's `postgres_changes` list asks for."""

from dataclasses import dataclass
from typing import Any

from localbase.realtime.elixir import inspect, inspect_tuples
from localbase.realtime.filters import Condition, parse_filter

ANY = "*"
EVENTS = ("INSERT", "UPDATE", "DELETE")


class BindingError(ValueError):
    """Parameters that make no subscription; the text is what the client is told."""


@dataclass(frozen=True, slots=True)
class Binding:
    schema: str
    table: str
    event: str
    conditions: tuple[Condition, ...] = ()
    select: tuple[str, ...] = ()

    def covers(self, schema: str, table: str, event: str) -> bool:
        return self.event in (ANY, event) and self.schema in (ANY, schema) and self.table in (ANY, table)

    def __str__(self) -> str:
        """The parameters as the server's error texts quote them."""
        filters = inspect_tuples([condition.as_tuple() for condition in self.conditions])
        select = inspect(list(self.select) or None)
        return (
            f"[event: {self.event}, schema: {self.schema}, table: {self.table}, "
            f"filters: {filters}, select: {select}]"
        )


def parse_binding(params: dict[str, Any]) -> Binding:
    """The binding that a parameter object describes. Raises BindingError or FilterError."""
    schema, table = _relation(params)
    conditions = parse_filter(params.get("filter", ""))
    select = _select(params.get("select"))
    if select and ANY in (schema, table):
        raise BindingError(
            "Column selection is not supported for wildcard subscriptions. "
            "Provide an explicit schema and table name."
        )
    return Binding(schema, table, _event(params.get("event")), conditions, select)


def _relation(params: dict[str, Any]) -> tuple[str, str]:
    match {key: params[key] for key in ("schema", "table", "filter") if key in params}:
        case {"schema": str(schema), "table": str(table), "filter": str()}:
            return schema, table
        case {"schema": str(schema), "table": str(table), **rest} if not rest:
            return schema, table
        case {"schema": str(schema), **rest} if not rest:
            return schema, ANY
        case {"table": str(table), **rest} if not rest:
            return "public", table
    raise BindingError(
        "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: "
        + inspect(params)
    )


def _select(value: Any) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case [*names] if all(isinstance(name, str) for name in names):
            return tuple(names)
    raise BindingError(
        'Error parsing `select` params: expected a list of column name strings, e.g. select: ["col1", "col2"]'
    )


def _event(value: Any) -> str:
    # Whatever is no known event behaves like all of them.
    event = value.upper() if isinstance(value, str) else ANY
    return event if event in EVENTS else ANY
