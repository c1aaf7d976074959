"""The one statement of a request, which gives the body and all that the answer's head needs."""

from dataclasses import dataclass
from typing import LiteralString

from localbase.rest.fragment import EMPTY, Fragment, Value, fragment
from localbase.rest.media import Media, Shape

# What a function wants changed is read after it ran: from the aggregate over its rows.
_ANSWER = """
with pgrst_source as ({}){}
select
    {},
    {},
    {},
    {},
    nullif(pg_catalog.current_setting('localbase.inserted', true), '')::int,
    nullif(pg_catalog.current_setting('response.status', true), ''),
    nullif(pg_catalog.current_setting('response.headers', true), '')
from ({}) as _postgrest_t
"""
_ROWS: LiteralString = "_postgrest_t"
_SCALARS: LiteralString = "_postgrest_t.pgrst_scalar"
_CSV = """(
    select coalesce(pg_catalog.string_agg(key, ','), '')
    from pg_catalog.json_object_keys(
        (select pg_catalog.row_to_json(first) from pgrst_source as first limit 1)
    ) as key
) || E'\\n' || coalesce(
    pg_catalog.string_agg(
        pg_catalog.substr(_postgrest_t::text, 2, pg_catalog.length(_postgrest_t::text) - 2), E'\\n'
    ), ''
)"""
_GEOJSON = """pg_catalog.json_build_object(
    'type', 'FeatureCollection',
    'features', coalesce(pg_catalog.json_agg(ST_AsGeoJSON(_postgrest_t)::json), '[]')
)::text"""
SOURCE_ROWS = fragment("select * from pgrst_source")
NO_BODY = fragment("''::text")
COUNTED = fragment("pg_catalog.count(*)")
ONE = fragment("1::bigint")
UNKNOWN = fragment("null::bigint")
NOWHERE = fragment("null::text")


@dataclass(frozen=True, slots=True)
class Call:
    """A statement and its values, and perhaps another whose plan tells how many rows there are."""

    statement: bytes
    values: tuple[Value, ...]
    estimate: "Call | None" = None


def call(answer: Fragment, estimated: Fragment | None = None) -> Call:
    estimate = None
    if estimated is not None:
        explained = fragment("explain (format json) {}", estimated)
        estimate = Call(explained.as_bytes(), explained.values)
    return Call(answer.as_bytes(), answer.values, estimate)


def answer(
    source: Fragment,
    rows: Fragment,
    body: Fragment,
    *,
    counted: Fragment | None = None,
    page: Fragment = COUNTED,
    location: Fragment = NOWHERE,
) -> Fragment:
    """`source` is run once, `rows` reads from it, and `counted` has a row for each in total."""
    total = UNKNOWN if counted is None else fragment("(select pg_catalog.count(*) from pgrst_count)")
    count = EMPTY if counted is None else fragment(", pgrst_count as ({})", counted)
    return fragment(_ANSWER, source, count, total, page, body, location, rows)


def body(media: Media, *, scalar: bool = False, single: bool = False) -> Fragment:
    """`single` is the result of a function that gives exactly one, `scalar` one that is no row."""
    value = _SCALARS if scalar else _ROWS
    match media.shape:
        case Shape.CSV:
            return fragment(_CSV)
        case Shape.GEOJSON:
            return fragment(_GEOJSON)
        case Shape.PLAIN:
            return fragment("(pg_catalog.array_agg(" + value + "))[1]")
    listed: LiteralString = "pg_catalog.json_agg(" + value + ")"
    if media.stripped:
        listed = "pg_catalog.json_strip_nulls(" + listed + ")"
    if single or media.single:
        return fragment("coalesce((" + listed + " -> 0)::text, 'null')")
    return fragment("coalesce(" + listed + ", '[]')::text")
