"""SQL that reads a plan: rows of a table with the resources embedded in them, and how many there are."""

from collections.abc import Callable, Iterator
from functools import partial

from localbase.rest.fragment import EMPTY, Fragment, bound, clause, fragment, joined, name
from localbase.rest.plan import Child, Node
from localbase.rest.query import STAR, Condition, Field, Group, SelectField
from localbase.rest.ranges import EVERYTHING, Range
from localbase.rest.relationships import Pairs
from localbase.rest.where import cast, column, condition, field_value, grouped, ordered, where

_EVERY_COLUMN = SelectField(Field(STAR))
# Makes SQL of a node, of what stands in `from`, and of conditions beside the node's own.
_Select = Callable[[Node, Fragment, tuple[Fragment, ...]], Fragment]


def rows(node: Node) -> Fragment:
    """The rows that the plan is for."""
    return _rows(node, name(*node.source), ())


def count(node: Node) -> Fragment:
    """One row for each that there is, whatever the range."""
    return _count(node, name(*node.source), ())


def _rows(node: Node, source: Fragment, conditions: tuple[Fragment, ...]) -> Fragment:
    return fragment(
        "select {} from {}{}{}{}{}",
        joined(", ", _columns(node)),
        _named(node, source),
        joined("", [_join(node, child) for child in node.children]),
        where(node, *conditions),
        ordered(node),
        _limits(node.range),
    )


def _named(node: Node, source: Fragment) -> Fragment:
    return source if node.alias is None else fragment("{} as {}", source, name(node.alias))


def _columns(node: Node) -> Iterator[Fragment]:
    select = node.select or (() if node.children else (_EVERY_COLUMN,))
    for item in select:
        value = cast(field_value(node.name, node.table, item.field), item.cast)
        alias = shown_name(item)
        yield value if alias is None else fragment("{} as {}", value, name(alias))
    for child in node.children:
        if not child.empty:
            yield from _embedded(child)


def shown_name(item: SelectField) -> str | None:
    """The name it is given in the answer, None when its column's own will do."""
    if item.alias is not None or not item.field.steps:
        return item.alias
    keys = [step.operand for step in item.field.steps if isinstance(step.operand, str)]
    return keys[-1] if keys else item.field.name


def _embedded(child: Child) -> Iterator[Fragment]:
    alias = name(child.alias)
    if child.embed.spread:
        yield from (column((child.alias,), shown) for shown in _spread_names(child.node))
    elif child.relationship.cardinality.to_one:
        yield fragment("pg_catalog.row_to_json({}.*)::jsonb as {}", alias, name(child.embed.name))
    else:
        yield fragment("coalesce({}.{}, '[]') as {}", alias, alias, name(child.embed.name))


def _spread_names(node: Node) -> Iterator[str]:
    """The columns that a spread resource brings along, those spread into itself included."""
    for item in node.select:
        shown = shown_name(item) or item.field.name
        if shown == STAR and node.table is not None:
            yield from node.table.columns
        else:
            yield shown
    for child in node.children:
        if child.embed.spread:
            yield from _spread_names(child.node)
        elif not child.empty:
            yield child.embed.name


def _join(parent: Node, child: Child) -> Fragment:
    found = _related_rows(parent, child, _rows)
    if not child.relationship.cardinality.to_one:
        found = _gathered(child, found)
    inner = child.embed.join == "inner"
    template = " inner join lateral ({}) as {} on true" if inner else " left join lateral ({}) as {} on true"
    return fragment(template, found, name(child.alias))


def _gathered(child: Child, found: Fragment) -> Fragment:
    """Many rows as one, whose columns are arrays."""
    alias = name(child.alias)
    columns = [fragment("pg_catalog.json_agg({})::jsonb as {}", alias, alias)]
    if child.embed.spread:
        columns += [
            fragment(
                "coalesce(pg_catalog.json_agg({})::jsonb, '[]') as {}", name(child.alias, shown), name(shown)
            )
            for shown in _spread_names(child.node)
        ]
    # Without this, a parent of none would still be joined to one row.
    having = fragment(" having pg_catalog.count(*) > 0") if child.embed.join == "inner" else EMPTY
    return fragment("select {} from ({}) as {}{}", joined(", ", columns), found, alias, having)


def _related_rows(parent: Node, child: Child, select: _Select) -> Fragment:
    """The child's rows that belong to the parent's row at hand."""
    node, related = child.node, child.relationship
    if related.cardinality.computed:
        row = fragment("{}::{}", name(parent.name[-1]), name(*related.source.identifier))
        call = fragment("{}({})", name(related.function_schema, related.name), row)
        return select(node, call, ())
    if related.junction is None:
        return select(node, name(*node.source), tuple(_equal(parent.name, node.name, related.columns)))
    junction = related.junction
    between = junction.table.identifier
    conditions = (
        *_equal(node.name, between, junction.target_columns),
        *_equal(parent.name, between, junction.source_columns),
    )
    return select(node, fragment("{}, {}", name(*node.source), name(*between)), conditions)


def _equal(one: tuple[str, ...], other: tuple[str, ...], pairs: Pairs) -> Iterator[Fragment]:
    for own, others in pairs:
        yield fragment("{} = {}", name(*other, others), name(*one, own))


def _count(node: Node, source: Fragment, conditions: tuple[Fragment, ...]) -> Fragment:
    present = [_exists(node, child) for child in node.children if child.embed.join == "inner"]
    wanted = [_counted_condition(node, found) for found in node.conditions]
    return fragment(
        "select 1 from {}{}",
        _named(node, source),
        clause(" where", " and ", (*wanted, *conditions, *present)),
    )


def _exists(parent: Node, child: Child) -> Fragment:
    return fragment("exists ({})", _related_rows(parent, child, _count))


def _counted_condition(node: Node, wanted: Condition) -> Fragment:
    """Where nothing is joined, the presence of an embedded resource is looked up."""
    if isinstance(wanted, Group):
        return grouped(wanted, partial(_counted_condition, node))
    child = node.embedded_in(wanted)
    if child is None:
        return condition(node, wanted)
    return fragment("{}" if wanted.negated else "not {}", _exists(node, child))


def _limits(wanted: Range) -> Fragment:
    if wanted == EVERYTHING:
        return EMPTY
    limit = fragment("all") if wanted.limit is None else bound(str(wanted.limit))
    return fragment(" limit {} offset {}", limit, bound(str(wanted.first)))


def columns_needed(node: Node, primary_key: tuple[str, ...], filters: tuple[str, ...] = ()) -> list[str]:
    """The columns of its source that a plan reads, in alphabetical order; a star stands for all."""
    named = [item.field.name for item in node.select]
    computed = any(child.relationship.cardinality.computed for child in node.children)
    if STAR in named or computed or not (named or node.children):
        return [STAR]
    return sorted({*named, *filters, *_joining(node), *primary_key})


def _joining(node: Node) -> Iterator[str]:
    for child in node.children:
        related = child.relationship
        pairs = related.junction.source_columns if related.junction else related.columns
        yield from (own for own, _ in pairs)
