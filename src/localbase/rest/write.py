"""SQL that changes rows: insert, update, upsert, delete."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import LiteralString

from localbase.rest.fragment import EMPTY, Fragment, bound, clause, fragment, joined, name, trusted
from localbase.rest.payload import Payload
from localbase.rest.query import Condition, Group
from localbase.rest.tables import Column, Table
from localbase.rest.where import column, filtered, grouped

_BODY = ("pgrst_body",)
# Steps of a counter: up for each row offered, down for each that was there already. Never false.
_STEP = """pg_catalog.set_config(
    'localbase.inserted',
    (coalesce(nullif(pg_catalog.current_setting('localbase.inserted', true), ''), '0')::int {} 1)::text,
    true
) is not null"""


@dataclass(frozen=True, slots=True)
class Conflict:
    """What happens to a row that is there already, by these columns."""

    columns: tuple[str, ...]
    merge: bool


@dataclass(frozen=True, slots=True)
class NewRows:
    """The rows of a request's body, of which some columns are set."""

    payload: Payload
    columns: Sequence[Column]
    # Whether a missing key means the column's default rather than null.
    defaults: bool = False


def insert(
    table: Table,
    new: NewRows,
    conflict: Conflict | None,
    returning: Sequence[str],
    only: Sequence[Condition] = (),
) -> Fragment:
    names = [name(found.name) for found in new.columns]
    conditions = [_condition(_BODY, table, wanted) for wanted in only]
    if conflict is not None and conflict.merge:
        conditions.append(_step("+"))
    return fragment(
        "insert into {}{} select {}{}{}{}{}",
        name(*table.identifier),
        fragment(" ({})", joined(", ", names)) if names else EMPTY,
        joined(", ", (name(*_BODY, found.name) for found in new.columns)),
        _source(new),
        clause(" where", " and ", conditions),
        _on_conflict(conflict, names) if conflict and conflict.columns else EMPTY,
        _returning(table, returning),
    )


def update(table: Table, new: NewRows, conditions: Sequence[Condition], returning: Sequence[str]) -> Fragment:
    target = name(*table.identifier)
    if not new.columns:
        shown = joined(", ", (column((table.name,), found) for found in returning)) if returning else _NULL
        return fragment("select {} from {} where false", shown, target)
    settings = [fragment("{} = {}", name(one.name), name(*_BODY, one.name)) for one in new.columns]
    return fragment(
        "update {} set {}{}{}{}",
        target,
        joined(", ", settings),
        _source(new),
        _where(table, conditions),
        _returning(table, returning),
    )


def delete(table: Table, conditions: Sequence[Condition], returning: Sequence[str]) -> Fragment:
    return fragment(
        "delete from {}{}{}",
        name(*table.identifier),
        _where(table, conditions),
        _returning(table, returning),
    )


def location(primary_key: Sequence[str]) -> Fragment:
    """The key of the one row there is, as a JSON array of names and values."""
    return fragment(
        """case when pg_catalog.count(*) = 1 then (
            select pg_catalog.json_agg(pg_catalog.json_build_array(entry.key, entry.value))::text
            from (select pg_catalog.row_to_json(one) as document from pgrst_source as one) as row,
                lateral pg_catalog.json_each_text(row.document) as entry
            where entry.key = any ({}::text[])
        ) end""",
        bound(list(primary_key)),
    )


_NULL = fragment("null")


def _where(table: Table, conditions: Sequence[Condition]) -> Fragment:
    return clause(" where", " and ", (_condition(table.identifier, table, one) for one in conditions))


def _condition(at: tuple[str, ...], table: Table, wanted: Condition) -> Fragment:
    if isinstance(wanted, Group):
        return grouped(wanted, partial(_condition, at, table))
    return filtered(at, table, wanted)


def _on_conflict(conflict: Conflict, names: Sequence[Fragment]) -> Fragment:
    columns = joined(", ", map(name, conflict.columns))
    if not conflict.merge or not names:
        return fragment(" on conflict ({}) do nothing", columns)
    settings = joined(", ", (fragment("{} = excluded.{}", one, one) for one in names))
    return fragment(" on conflict ({}) do update set {} where {}", columns, settings, _step("-"))


def _step(sign: LiteralString) -> Fragment:
    return fragment(_STEP, fragment(sign))


def _returning(table: Table, columns: Sequence[str]) -> Fragment:
    # Something has to be returned for the rows to be counted.
    shown = [column(table.identifier, found) for found in columns] or [fragment("1")]
    return fragment(" returning {}", joined(", ", shown))


def _source(new: NewRows) -> Fragment:
    """The body's rows, as a table with typed columns."""
    payload = new.payload
    document = fragment("{}::jsonb" if new.defaults else "{}::json", bound(payload.document))
    if new.defaults:
        document = _with_defaults(document, new)
    return fragment(" from (select {}) as pgrst_body", _parsed(document, new))


def _parsed(document: Fragment, new: NewRows) -> Fragment:
    kind: LiteralString = "jsonb" if new.defaults else "json"
    if not new.columns:
        rows = fragment("pg_catalog." + kind + "_array_elements({})", document)
        return fragment("from {} as _", rows if new.payload.many else fragment("(values (1))"))
    reader: LiteralString = "_to_recordset({})" if new.payload.many else "_to_record({})"
    typed = joined(", ", (fragment("{} {}", name(one.name), trusted(one.type)) for one in new.columns))
    return fragment(
        "{} from {} as _({})",
        joined(", ", (name(one.name) for one in new.columns)),
        fragment("pg_catalog." + kind + reader, document),
        typed,
    )


def _with_defaults(document: Fragment, new: NewRows) -> Fragment:
    """The document, with the default of each column where a key is missing."""
    entries = [
        fragment("{}::text, {}", bound(one.name), trusted(one.default))
        for one in new.columns
        if one.default is not None
    ]
    defaults = fragment("pg_catalog.jsonb_build_object({})", joined(", ", entries))
    if not new.payload.many:
        return fragment("{} || {}", defaults, document)
    return fragment(
        "(select pg_catalog.jsonb_agg({} || element) from pg_catalog.jsonb_array_elements({}) as element)",
        defaults,
        document,
    )
