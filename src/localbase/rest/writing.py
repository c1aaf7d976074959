"""POST, PATCH, PUT and DELETE of a table or view."""

from functools import partial
from http import HTTPStatus

from aiohttp import web

from localbase.rest.errors import (
    no_column,
    put_of_another,
    put_without_key,
    too_many_affected,
)
from localbase.rest.fragment import Fragment
from localbase.rest.media import Media, negotiate
from localbase.rest.operation import Demand, Operation
from localbase.rest.payload import Payload, read_payload
from localbase.rest.plan import Node, of_embedded, plan_read, result_target
from localbase.rest.query import Compare, Condition, Path
from localbase.rest.ranges import content_range
from localbase.rest.read import columns_needed, rows
from localbase.rest.reading import known_table
from localbase.rest.response import body_of, check_single, finished, location_of
from localbase.rest.statement import NO_BODY, NOWHERE, SOURCE_ROWS, answer, body, call
from localbase.rest.tables import Table
from localbase.rest.transaction import Answer
from localbase.rest.write import Conflict, NewRows, delete, insert, location, update


def write_table(demand: Demand) -> Operation:
    demand.check_range()
    payload = None if demand.request.method == "DELETE" else _payload(demand)
    table = known_table(demand)
    target = result_target(table.schema, table.name, table)
    node = plan_read(of_embedded(demand.query), target, demand.catalog, max_rows=None)
    change = _change(demand, table, node, payload)
    demand.preferences.check()
    media = negotiate(demand.request.header("Accept"))
    full = demand.preferences.full
    statement = answer(
        change,
        rows(node) if full else SOURCE_ROWS,
        body(media) if full else NO_BODY,
        location=location(table.primary_key) if _locates(demand) else NOWHERE,
    )
    return Operation(call(statement), partial(_respond, demand, table, media), read_only=False)


def _payload(demand: Demand) -> Payload:
    request = demand.request
    # PUT gives a whole row: there is nothing to leave out.
    columns = None if request.method == "PUT" else demand.query.columns
    return read_payload(request.header("Content-Type"), request.body, columns)


def _change(demand: Demand, table: Table, node: Node, payload: Payload | None) -> Fragment:
    conditions = _conditions(demand)
    shown = demand.preferences.representation in ("representation", "headers-only")
    returning = columns_needed(node, table.primary_key) if shown else []
    if payload is None:
        return delete(table, conditions, returning)
    if demand.request.method == "PUT":
        _check_put(demand, table)
    new = _new_rows(demand, table, payload)
    match demand.request.method:
        case "PATCH":
            return update(table, new, conditions, returning)
        case "PUT":
            return insert(table, new, Conflict(table.primary_key, merge=True), returning, conditions)
    return insert(table, new, _conflict(demand, table), returning)


def _conditions(demand: Demand) -> list[Condition]:
    """Of the rows that are to change."""
    placed: list[tuple[Path, Condition]] = [*demand.query.filters, *demand.query.groups]
    return [condition for path, condition in placed if not path]


def _new_rows(demand: Demand, table: Table, payload: Payload) -> NewRows:
    for name in payload.columns:
        if name not in table.columns:
            raise no_column(table.name, name)
    columns = [table.columns[name] for name in payload.columns]
    defaults = demand.preferences.missing == "default" and demand.request.method != "PUT"
    return NewRows(payload, columns, defaults)


def _conflict(demand: Demand, table: Table) -> Conflict | None:
    resolution = demand.preferences.resolution
    if resolution is None:
        return None
    columns = demand.query.on_conflict or table.primary_key
    return Conflict(columns, merge=resolution == "merge-duplicates")


def _check_put(demand: Demand, table: Table) -> None:
    """PUT names one row, by its whole primary key and by nothing else."""
    filters = demand.query.filters
    named = {found.field.name for path, found in filters if not path}
    exact = all(
        isinstance(found.operation, Compare)
        and found.operation.operator == "eq"
        and found.operation.quantifier is None
        and not found.negated
        for path, found in filters
        if not path
    )
    if demand.query.groups or not named or named != set(table.primary_key) or not exact:
        raise put_without_key()


def _locates(demand: Demand) -> bool:
    return demand.request.method == "POST" and demand.preferences.representation == "headers-only"


def _respond(demand: Demand, table: Table, media: Media, answer: Answer) -> web.Response:
    check_single(media, answer)
    method, full = demand.request.method, demand.preferences.full
    if method == "PUT" and answer.rows != 1:
        raise put_of_another()
    _check_affected(demand, answer)
    headers = [*_ranges(demand, answer), *_applied(demand, table)]
    if method == "POST":
        headers += location_of(table.name, answer)
    if full:
        headers.append(("Content-Type", media.content_type))
    return finished(answer, _status(demand, answer), headers, body_of(answer) if full else None)


def _check_affected(demand: Demand, answer: Answer) -> None:
    most = demand.preferences.most_affected
    if demand.request.method in ("PATCH", "DELETE") and most is not None and answer.rows > most:
        raise too_many_affected(answer.rows)


def _ranges(demand: Demand, answer: Answer) -> list[tuple[str, str]]:
    if demand.request.method == "PUT":
        return []
    total = answer.rows if demand.preferences.counting else None
    last = answer.rows - 1 if demand.request.method == "PATCH" else -1
    return [("Content-Range", content_range(0, last, total))]


def _applied(demand: Demand, table: Table) -> list[tuple[str, str]]:
    """The preferences that this kind of change has regard for."""
    preferences, common = demand.preferences, ("return", "count", "handling", "timezone")
    match demand.request.method:
        case "POST":
            upserts = bool(table.primary_key) or demand.query.on_conflict is not None
            own = ("missing", "resolution") if upserts else ("missing",)
            return preferences.applied(*common, *own)
        case "PATCH":
            return preferences.applied(*common, "missing", "max-affected")
        case "DELETE":
            return preferences.applied(*common, "max-affected")
    return preferences.applied(*common)


def _status(demand: Demand, answer: Answer) -> HTTPStatus:
    full, created = demand.preferences.full, (answer.inserted or 0) > 0
    match demand.request.method:
        case "POST":
            merged = demand.preferences.resolution == "merge-duplicates"
            return HTTPStatus.OK if merged and not created else HTTPStatus.CREATED
        case "PUT" if full and created:
            return HTTPStatus.CREATED
    return HTTPStatus.OK if full else HTTPStatus.NO_CONTENT
