"""The messages about a change: what it contains for whom, once it is known who may have it."""

from collections.abc import Iterable
from datetime import UTC
from typing import Any

from localbase.realtime.catalog import Column, Table
from localbase.realtime.pgoutput import UNCHANGED, Change, Operation, Row, Unchanged
from localbase.realtime.values import to_json

MAX_ROW = 1024 * 1024
_MAX_VALUE_OF_LARGE_ROW = 64

UNAUTHORIZED = "Error 401: Unauthorized"
NO_KEY = "Error 400: Bad Request, no primary key"
TOO_LARGE = "Error 413: Payload Too Large"


def refusal(change: Change, table: Table, role: str) -> str | None:
    """Why a role gets to know that something happened, but not what."""
    if change.operation is Operation.DELETE:
        return None
    if not table.key:
        return NO_KEY
    return None if all(role in column.readers for column in table.key) else UNAUTHORIZED


def describe(change: Change, table: Table, role: str, select: tuple[str, ...]) -> dict[str, Any]:
    """The `data` of a message to a role that selected these columns (none: all)."""
    error = refusal(change, table, role)
    large = _size(change) > MAX_ROW
    columns = [] if error else [column for column in table.columns if _shown(column, role, select)]
    data: dict[str, Any] = {
        "schema": change.relation.schema,
        "table": change.relation.name,
        "type": change.operation.value,
        "commit_timestamp": None if error else _timestamp(change),
        "columns": [{"name": column.name, "type": column.type_name} for column in columns],
        "errors": [error] if error else [TOO_LARGE] if large else None,
    }
    if change.operation is not Operation.DELETE:
        data["record"] = _record(columns, change.new, large=large)
    if change.operation is not Operation.INSERT:
        data["old_record"] = _record(columns, _old_row(change, table), large=large)
    return data


def _shown(column: Column, role: str, select: tuple[str, ...]) -> bool:
    return role in column.readers and (not select or column.is_key or column.name in select)


def _old_row(change: Change, table: Table) -> Row:
    if change.operation is Operation.DELETE and table.row_security:
        # The row is gone and with it what the policies would say of it: only its key is told.
        return {column.name: change.old[column.name] for column in table.key if column.name in change.old}
    if not change.old:
        # The log carries the old key only if it has changed.
        return {name: change.new[name] for name in change.relation.identity}
    return change.old


def _record(columns: Iterable[Column], row: Row, *, large: bool) -> dict[str, Any]:
    return {
        column.name: to_json(value, column.value_type, column.delimiter)
        for column in columns
        if not isinstance(value := row.get(column.name, UNCHANGED), Unchanged)
        and not (large and value and len(value) > _MAX_VALUE_OF_LARGE_ROW)
    }


def _size(change: Change) -> int:
    values = (*change.new.values(), *change.old.values())
    return sum(len(value) for value in values if isinstance(value, str))


def _timestamp(change: Change) -> str:
    return change.commit_time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
