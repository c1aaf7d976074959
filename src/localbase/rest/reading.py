"""GET and HEAD of a table or view."""

from dataclasses import replace
from functools import partial

from aiohttp import web

from localbase.rest.errors import no_table
from localbase.rest.fragment import Fragment, bound, fragment
from localbase.rest.fuzzy import nearest
from localbase.rest.media import Media, negotiate
from localbase.rest.operation import Demand, Operation
from localbase.rest.plan import plan_read, table_target
from localbase.rest.query import Query
from localbase.rest.ranges import Range
from localbase.rest.read import count, rows
from localbase.rest.response import check_single, ranged_response
from localbase.rest.statement import NO_BODY, SOURCE_ROWS, answer, body, call
from localbase.rest.tables import Table
from localbase.rest.transaction import Answer


def known_table(demand: Demand) -> Table:
    """The table asked for. Raises ApiError."""
    schema, name = demand.schema, demand.name
    table = demand.catalog.tables.get((schema, name))
    if table is None:
        meant = nearest(name, demand.catalog.relation_names(schema))
        raise no_table(schema, name, meant and f"Perhaps you meant the table '{schema}.{meant}'")
    return table


def with_range(query: Query, wanted: Range) -> Query:
    """The query with the range that its own and the request's header make together."""
    others = tuple((path, found) for path, found in query.ranges if path)
    return replace(query, ranges=(((), wanted), *others))


def read_table(demand: Demand) -> Operation:
    wanted, table = demand.range, known_table(demand)
    query = with_range(demand.query, wanted)
    node = plan_read(query, table_target(table), demand.catalog, demand.api.max_rows)
    media = negotiate(demand.request.header("Accept"))
    demand.preferences.check()
    head = demand.request.method == "HEAD"
    counted = count(node)
    statement = answer(
        rows(node),
        SOURCE_ROWS,
        NO_BODY if head else body(media),
        counted=_limited_count(demand, counted),
    )
    return Operation(
        call(statement, estimated=counted if _estimating(demand) else None),
        partial(_respond, demand, media, wanted),
        read_only=True,
    )


def _estimating(demand: Demand) -> bool:
    return demand.preferences.count in ("planned", "estimated")


def _limited_count(demand: Demand, counted: Fragment) -> Fragment | None:
    """How rows are counted; for an estimate, only until there are too many to show."""
    if not demand.preferences.counting:
        return None
    if demand.preferences.count == "exact" or demand.api.max_rows is None:
        return counted
    return fragment("{} limit {}", counted, bound(str(demand.api.max_rows + 1)))


def _respond(demand: Demand, media: Media, wanted: Range, answer: Answer) -> web.Response:
    check_single(media, answer)
    response = ranged_response(demand, media, wanted, answer)
    address = f"/{demand.name}" + (f"?{demand.query.canonical}" if demand.query.canonical else "")
    response.headers["Content-Location"] = address
    return response
