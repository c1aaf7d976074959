"""What is to be read: a query's wishes, sorted onto the tree of a table and what is embedded in it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from localbase.rest.catalog import Catalog
from localbase.rest.embedding import find_relationship
from localbase.rest.errors import (
    aggregates_not_allowed,
    bad_embedded_filter,
    not_embedded,
    not_to_one,
)
from localbase.rest.query import (
    Condition,
    Embed,
    Filter,
    Group,
    Is,
    OrderTerm,
    Path,
    Query,
    SelectField,
    SelectItem,
)
from localbase.rest.ranges import EVERYTHING, Range
from localbase.rest.relationships import Cardinality, Relationship
from localbase.rest.tables import Table

T = TypeVar("T")

# What a function or a change of rows gave, to be read from.
SOURCE = "pgrst_source"


@dataclass(frozen=True, slots=True)
class Node:
    """One resource. `source` is what stands in `from`; `table` is None where nothing is known of it."""

    source: tuple[str, ...]
    alias: str | None
    table: Table | None
    select: tuple[SelectField, ...]
    conditions: tuple[Condition, ...]
    order: tuple[OrderTerm, ...]
    range: Range
    children: tuple["Child", ...] = ()

    @property
    def name(self) -> tuple[str, ...]:
        """How its columns are qualified."""
        return self.source if self.alias is None else (self.alias,)

    def child(self, name: str) -> "Child | None":
        """The embedded resource that is shown by this name."""
        return next((child for child in self.children if child.embed.name == name), None)

    def embedded_in(self, condition: Condition) -> "Child | None":
        """The embedded resource whose presence a filter asks for, if that is what it does."""
        if isinstance(condition, Filter) and not condition.field.steps:
            return self.child(condition.field.name)
        return None


@dataclass(frozen=True, slots=True)
class Child:
    """A resource embedded in another; `alias` is what it is joined as."""

    embed: Embed
    relationship: Relationship
    node: Node
    alias: str

    @property
    def empty(self) -> bool:
        """Whether nothing of it is shown: it only filters."""
        return not self.node.select and all(child.empty for child in self.node.children)


@dataclass(frozen=True, slots=True)
class Target:
    """What is read from, before anything is said about what of it."""

    schema: str
    name: str
    table: Table | None
    source: tuple[str, ...]
    alias: str | None = None


def table_target(table: Table) -> Target:
    return Target(table.schema, table.name, table, table.identifier)


def result_target(schema: str, name: str, table: Table | None) -> Target:
    """The result of something, that goes by the name of the table it stands for."""
    return Target(schema, name, table, (SOURCE,), name)


def plan_read(query: Query, target: Target, catalog: Catalog, max_rows: int | None) -> Node:
    """Raises ApiError for what cannot be embedded, filtered or ordered that way."""
    return _Planner(catalog, target.schema, max_rows).node(query.select, query, target, depth=0)


def of_embedded(query: Query) -> Query:
    """What is left of a query to read what a change of rows gave: the rest chose the rows."""
    return replace(
        query,
        filters=tuple((path, found) for path, found in query.filters if path),
        groups=tuple((path, found) for path, found in query.groups if path),
        orders=(),
        ranges=(),
    )


@dataclass(frozen=True, slots=True)
class _Planner:
    catalog: Catalog
    schema: str
    max_rows: int | None

    def node(self, items: Sequence[SelectItem], query: Query, target: Target, depth: int) -> Node:
        node = Node(
            target.source,
            target.alias,
            target.table,
            select=tuple(_without_aggregate(item) for item in items if isinstance(item, SelectField)),
            conditions=(*_here(query.filters), *_here(query.groups)),
            order=tuple(term for terms in _here(query.orders)[-1:] for term in terms),
            range=_last(_here(query.ranges), EVERYTHING).at_most(self.max_rows),
        )
        embeds = [item for item in items if isinstance(item, Embed)]
        below = _sorted_below(query, embeds)
        children = [
            self._child(embed, query, target, depth + 1) for embed, query in zip(embeds, below, strict=True)
        ]
        node = replace(node, children=tuple(children))
        _check(node)
        return node

    def _child(self, embed: Embed, query: Query, parent: Target, depth: int) -> Child:
        # Below the root, resources go by their own names, whatever alias they were read by.
        origin = parent.alias or parent.name if depth == 1 else parent.name
        related = find_relationship(
            self.catalog.relationships, self.schema, origin, embed.relation, embed.hint
        )
        table = related.target
        # A junction stands beside its table in `from`; nothing there needs another name.
        alias = None if related.cardinality is Cardinality.MANY_TO_MANY else f"{table.name}_{depth}"
        target = Target(table.schema, table.name, table, table.identifier, alias)
        node = self.node(embed.items, query, target, depth)
        return Child(embed, related, node, f"{related.source.name}_{embed.name}_{depth}")


def _without_aggregate(item: SelectField) -> SelectField:
    if item.aggregate is not None:
        raise aggregates_not_allowed()
    return item


def _here(placed: Iterable[tuple[Path, T]]) -> tuple[T, ...]:
    return tuple(found for path, found in placed if not path)


def _last(found: Sequence[T], default: T) -> T:
    return found[-1] if found else default


def _sorted_below(query: Query, embeds: Sequence[Embed]) -> list[Query]:
    """The part of the query for each embedded resource."""
    parts = (_sorted(placed, embeds) for placed in (query.filters, query.groups, query.orders, query.ranges))
    return [
        Query(filters=filters, groups=groups, orders=orders, ranges=ranges)
        for filters, groups, orders, ranges in zip(*parts, strict=True)
    ]


def _sorted(placed: Iterable[tuple[Path, T]], embeds: Sequence[Embed]) -> list[tuple[tuple[Path, T], ...]]:
    found: list[list[tuple[Path, T]]] = [[] for _ in embeds]
    for path, wish in placed:
        if path:
            found[_position(path[0], embeds)].append((path[1:], wish))
    return [tuple(wishes) for wishes in found]


def _position(name: str, embeds: Sequence[Embed]) -> int:
    for position, embed in enumerate(embeds):
        if name in (embed.relation, embed.alias):
            return position
    raise not_embedded(name)


def _check(node: Node) -> None:
    """Embedded resources can be asked for their presence, and ordered by only where there is one."""
    for term in node.order:
        if term.relation is not None:
            _check_order(node, term.relation)
    for condition in node.conditions:
        _check_condition(node, condition)


def _check_order(node: Node, relation: str) -> None:
    child = node.child(relation)
    if child is None:
        raise not_embedded(relation)
    if not child.relationship.cardinality.to_one:
        raise not_to_one(node.source[-1], relation)


def _check_condition(node: Node, condition: Condition) -> None:
    if isinstance(condition, Group):
        for member in condition.members:
            _check_condition(node, member)
    elif (child := node.embedded_in(condition)) and condition.operation != Is("null"):
        raise bad_embedded_filter(child.embed.relation)
