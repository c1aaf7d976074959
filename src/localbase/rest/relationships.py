"""How tables and views are related: by foreign keys, through junctions, or by functions of a row."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from localbase.rest.tables import Table

# Column of the one side, column of the other.
Pairs = tuple[tuple[str, str], ...]


class Cardinality(IntEnum):
    """In the order in which errors list them."""

    ONE_TO_MANY = 0
    MANY_TO_ONE = 1
    ONE_TO_ONE = 2
    MANY_TO_MANY = 3
    COMPUTED_ONE = 4
    COMPUTED_MANY = 5

    @property
    def to_one(self) -> bool:
        return self in (Cardinality.MANY_TO_ONE, Cardinality.ONE_TO_ONE, Cardinality.COMPUTED_ONE)

    @property
    def computed(self) -> bool:
        return self in (Cardinality.COMPUTED_ONE, Cardinality.COMPUTED_MANY)

    def __str__(self) -> str:
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Junction:
    """The table between two others, with the columns that lead to each: theirs first, its own second."""

    table: Table
    source_constraint: str
    source_columns: Pairs
    target_constraint: str
    target_columns: Pairs


@dataclass(frozen=True, slots=True)
class Relationship:
    """From one table to another; `name` is that of the constraint or function."""

    source: Table
    target: Table
    cardinality: Cardinality
    name: str
    columns: Pairs = ()
    junction: Junction | None = None
    function_schema: str = ""

    @property
    def to_itself(self) -> bool:
        return self.source.oid == self.target.oid


# By schema and name of the table they begin at.
Relationships = Mapping[tuple[str, str], Sequence[Relationship]]


def find_relationships(
    tables: Mapping[int, Table],
    foreign_keys: Sequence[Mapping[str, Any]],
    functions: Sequence[Mapping[str, Any]],
) -> Relationships:
    views = [table for table in tables.values() if table.is_view]
    direct = [
        related
        for key in foreign_keys
        if key["source"] in tables and key["target"] in tables
        for related in _by_key(key, tables, views)
    ]
    found: defaultdict[tuple[str, str], list[Relationship]] = defaultdict(list)
    for related in (
        *direct,
        *map(_inverse, direct),
        *_through_junctions(direct),
        *_computed(functions, tables),
    ):
        # Only what is exposed can be asked for.
        if related.source.exposed and related.target.exposed:
            found[related.source.identifier].append(related)
    return {identifier: sorted(related, key=_rank) for identifier, related in found.items()}


def _rank(related: Relationship) -> tuple[str, Cardinality, str]:
    name = related.junction.table.name if related.junction else related.name
    return related.target.name, related.cardinality, name


def _by_key(
    key: Mapping[str, Any], tables: Mapping[int, Table], views: Sequence[Table]
) -> Iterator[Relationship]:
    """The relationship that a foreign key makes, and those of views that show its columns."""
    base, referenced = tables[key["source"]], tables[key["target"]]
    own = base.named(key["source_columns"])
    cardinality = Cardinality.ONE_TO_ONE if frozenset(own) in base.keys else Cardinality.MANY_TO_ONE
    sources = [(base, own), *_showing(views, base, key["source_columns"])]
    targets = [
        (referenced, referenced.named(key["target_columns"])),
        *_showing(views, referenced, key["target_columns"]),
    ]
    for source, columns in sources:
        for target, target_columns in targets:
            pairs = tuple(zip(columns, target_columns, strict=True))
            yield Relationship(source, target, cardinality, key["name"], pairs)


def _showing(
    views: Sequence[Table], table: Table, numbers: Sequence[int]
) -> Iterator[tuple[Table, tuple[str, ...]]]:
    for view in views:
        columns = view.own_columns(table.oid, numbers)
        if columns is not None:
            yield view, columns


def _inverse(related: Relationship) -> Relationship:
    one_to_one = related.cardinality is Cardinality.ONE_TO_ONE
    return replace(
        related,
        source=related.target,
        target=related.source,
        cardinality=Cardinality.ONE_TO_ONE if one_to_one else Cardinality.ONE_TO_MANY,
        columns=_turned(related.columns),
    )


def _turned(pairs: Pairs) -> Pairs:
    return tuple((other, one) for one, other in pairs)


def _through_junctions(direct: Sequence[Relationship]) -> Iterator[Relationship]:
    """A table whose primary key holds two foreign keys relates the tables that they lead to."""
    leading: defaultdict[int, list[Relationship]] = defaultdict(list)
    for related in direct:
        if related.cardinality is Cardinality.MANY_TO_ONE:
            leading[related.source.oid].append(related)
    for candidates in leading.values():
        for one in candidates:
            for other in candidates:
                if one.name != other.name and _in_key(one.source, one.columns + other.columns):
                    yield _junction(one, other)


def _in_key(table: Table, pairs: Pairs) -> bool:
    return {column for column, _ in pairs} <= set(table.primary_key)


def _junction(one: Relationship, other: Relationship) -> Relationship:
    return Relationship(
        one.target,
        other.target,
        Cardinality.MANY_TO_MANY,
        one.source.name,
        junction=Junction(one.source, one.name, _turned(one.columns), other.name, _turned(other.columns)),
    )


def _computed(functions: Sequence[Mapping[str, Any]], tables: Mapping[int, Table]) -> Iterator[Relationship]:
    for function in functions:
        yield Relationship(
            tables[function["source"]],
            tables[function["target"]],
            Cardinality.COMPUTED_ONE if function["to_one"] else Cardinality.COMPUTED_MANY,
            function["name"],
            function_schema=function["schema"],
        )
