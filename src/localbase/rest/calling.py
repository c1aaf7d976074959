"""Requests to functions: GET, HEAD and POST of rpc/*."""

from functools import partial

from aiohttp import web

from localbase.rest.arguments import Arguments, from_body, from_pairs
from localbase.rest.call import called, plain_call, result_body, result_page
from localbase.rest.catalog import Routine
from localbase.rest.errors import not_a_set, too_many_affected
from localbase.rest.matching import find_routine
from localbase.rest.media import PLAIN_JSON, Media, negotiate
from localbase.rest.operation import Demand, Operation
from localbase.rest.plan import Node, plan_read, result_target
from localbase.rest.query import Filter, Group, Query
from localbase.rest.ranges import EVERYTHING, Range
from localbase.rest.read import columns_needed, count, rows
from localbase.rest.reading import with_range
from localbase.rest.response import check_single, ranged_response
from localbase.rest.statement import NO_BODY, Call, answer, call
from localbase.rest.transaction import Answer

_NO_QUERY = Query()


def call_routine(demand: Demand) -> Operation:
    request = demand.request
    wanted = demand.range
    arguments = _arguments(demand)
    routine = find_routine(demand.catalog, demand.schema, demand.name, arguments)
    media = negotiate(request.header("Accept"), routine.media_type)
    demand.preferences.check()
    _check_affected(demand, routine)
    return Operation(
        _call(demand, routine, arguments, media, wanted),
        partial(_respond, demand, routine, media, wanted),
        read_only=request.reading or not routine.volatile,
        settings=routine.settings,
    )


def _arguments(demand: Demand) -> Arguments:
    if demand.request.method != "POST":
        return from_pairs(demand.query.arguments)
    return from_body(demand.request.header("Content-Type"), demand.request.body, demand.query.columns)


def describe_routine(demand: Demand) -> str:
    """The methods that a function answers to. Raises ApiError where there is none."""
    routine = find_routine(demand.catalog, demand.schema, demand.name, _arguments(demand))
    return "OPTIONS,POST" if routine.volatile else "OPTIONS,GET,HEAD,POST"


def _call(demand: Demand, routine: Routine, arguments: Arguments, media: Media, wanted: Range) -> Call:
    if _is_plain(demand, media, wanted):
        return plain_call(routine, arguments, demand.api.max_rows)
    node = _plan(demand, routine, wanted)
    columns = columns_needed(node, (), tuple(_filtered(node)))
    head = demand.request.method == "HEAD"
    statement = answer(
        called(routine, arguments, columns),
        rows(node),
        NO_BODY if head else result_body(routine, media),
        counted=count(node) if demand.preferences.counting else None,
        page=result_page(routine),
    )
    return call(statement)


def _is_plain(demand: Demand, media: Media, wanted: Range) -> bool:
    """Whether nothing is asked of the result but to be given whole."""
    query = demand.query
    return (
        media is PLAIN_JSON
        and wanted == EVERYTHING
        and demand.preferences.count is None
        and query.select is _NO_QUERY.select
        and not (query.filters or query.groups or query.orders or query.ranges)
    )


def _plan(demand: Demand, routine: Routine, wanted: Range) -> Node:
    name = routine.returns_table or routine.name
    table = demand.catalog.tables.get((routine.schema, name)) if routine.returns_table else None
    target = result_target(routine.schema, name, table)
    query = with_range(demand.query, wanted)
    return plan_read(query, target, demand.catalog, demand.api.max_rows)


def _filtered(node: Node) -> list[str]:
    """The columns that conditions look at."""
    names, waiting = [], list(node.conditions)
    while waiting:
        match waiting.pop():
            case Group(members=members):
                waiting += members
            case Filter(field=field) as found if node.embedded_in(found) is None:
                names.append(field.name)
    return names


def _check_affected(demand: Demand, routine: Routine) -> None:
    if demand.preferences.most_affected is not None and not routine.set_returning:
        raise not_a_set()


def _respond(demand: Demand, routine: Routine, media: Media, wanted: Range, answer: Answer) -> web.Response:
    check_single(media, answer)
    most = demand.preferences.most_affected
    if most is not None and answer.rows > most:
        raise too_many_affected(answer.rows)
    return ranged_response(demand, None if routine.void else media, wanted, answer, "max-affected")
