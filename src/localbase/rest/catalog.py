"""What the Data API knows of the database: functions, relations and role settings."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Self

import psycopg

from localbase.rest.relationships import Relationships, find_relationships
from localbase.rest.tables import Table, read_tables

_QUERY = (resources.files("localbase.rest") / "catalog.sql").read_bytes()


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument a caller may give."""

    name: str
    type: str
    required: bool
    variadic: bool


@dataclass(frozen=True, slots=True)
class Routine:
    """One function; overloaded ones share schema and name."""

    schema: str
    name: str
    parameters: tuple[Parameter, ...]
    volatile: bool
    set_returning: bool
    void: bool
    composite: bool
    # The table whose rows it returns, if any, and the media type that its result is in.
    returns_table: str
    media_type: str | None
    # Settings of the function that count for its whole transaction, such as a statement timeout.
    settings: Mapping[str, str] = field(hash=False)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        parameters = tuple(Parameter(**parameter) for parameter in document["parameters"])
        return cls(**{**document, "parameters": parameters})


@dataclass(frozen=True, slots=True)
class Catalog:
    """A snapshot of the exposed schemas."""

    routines: Mapping[tuple[str, str], Sequence[Routine]]
    tables: Mapping[tuple[str, str], Table]
    relationships: Relationships
    roles: Mapping[str, Mapping[str, str]]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        routines: defaultdict[tuple[str, str], list[Routine]] = defaultdict(list)
        for described in document["routines"]:
            routine = Routine.from_json(described)
            routines[routine.schema, routine.name].append(routine)
        tables = read_tables(document["relations"])
        return cls(
            routines=dict(routines),
            tables={(table.schema, table.name): table for table in tables.values() if table.exposed},
            relationships=find_relationships(tables, document["foreign_keys"], document["computed"]),
            roles=document["roles"],
        )

    def routine_names(self, schema: str) -> list[str]:
        return [name for found, name in self.routines if found == schema]

    def relation_names(self, schema: str) -> list[str]:
        return sorted(name for found, name in self.tables if found == schema)


async def read_catalog(connection: psycopg.AsyncConnection, schemas: Sequence[str]) -> Catalog:
    cursor = await connection.execute(_QUERY, {"schemas": list(schemas)})
    row = await cursor.fetchone()
    if row is None:
        raise RuntimeError("the catalog query always has one row")
    return Catalog.from_json(row[0])
