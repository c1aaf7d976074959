"""Looking at the database itself, where DATABASE_URL tells the way: more than the Data API shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from reelbase.doctor.functions import Routine
from reelbase.errors import ConnectionFailed

# A composite result's columns, or those of `returns table`; no row for a scalar.
_ROUTINES = """
    select
        proname,
        coalesce(proargnames[1:pronargs], '{}'),
        proretset,
        coalesce(
            (
                select array_agg(attname::text) from pg_catalog.pg_attribute
                where attrelid = typrelid and attnum > 0 and not attisdropped
            ),
            (
                select array_agg(name) from unnest(proargnames, proargmodes) as arguments (name, mode)
                where mode in ('t', 'o')
            )
        )
    from pg_catalog.pg_proc join pg_catalog.pg_type on pg_type.oid = prorettype
    where pronamespace = 'public'::regnamespace and prokind = 'f'
"""
_PUBLISHED = """
    select format('%I.%I', schemaname, tablename) from pg_catalog.pg_publication_tables
    where pubname = 'supabase_realtime'
"""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What was read. None is what could not be: no such table, or no right to it."""

    server_version: str
    routines: Mapping[str, tuple[Routine, ...]]
    published: frozenset[str]
    migrations: frozenset[str] | None


def has_driver() -> bool:
    return find_spec("psycopg") is not None


def read_facts(database_url: str, timeout: float) -> DatabaseFacts:
    """Look. Raises ConnectionFailed, without a word of the URL in it."""
    import psycopg  # noqa: PLC0415  # comes with an extra

    try:
        with psycopg.connect(database_url, autocommit=True, connect_timeout=max(2, int(timeout))) as session:
            session.execute("select set_config('statement_timeout', %s, false)", (f"{timeout:.0f}s",))
            return _read(session)
    except psycopg.OperationalError as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
        raise ConnectionFailed(f"The database does not let us in ({reason}).") from None
    except psycopg.ProgrammingError:
        # It quotes what it cannot read, which may be a password.
        raise ConnectionFailed("DATABASE_URL is no address of a database.") from None


def _read(session: Any) -> DatabaseFacts:
    routines: dict[str, tuple[Routine, ...]] = {}
    for name, arguments, many, columns in session.execute(_ROUTINES).fetchall():
        found = Routine(
            name,
            frozenset(arguments),
            many,
            None if columns is None else frozenset(columns),
        )
        routines[name] = (*routines.get(name, ()), found)
    return DatabaseFacts(
        server_version=session.execute("show server_version").fetchone()[0],
        routines=routines,
        published=frozenset(row[0] for row in session.execute(_PUBLISHED).fetchall()),
        migrations=_migrations(session),
    )


def _migrations(session: Any) -> frozenset[str] | None:
    """What the Supabase CLI has applied; None where it was not the one to apply them."""
    table = session.execute("select to_regclass('supabase_migrations.schema_migrations')").fetchone()[0]
    if table is None:
        return None
    rows = session.execute("select version from supabase_migrations.schema_migrations").fetchall()
    return frozenset(row[0] for row in rows)


def migration_files(directory: Path) -> dict[str, str]:
    """Version to file name of the migrations below `directory`; none when there is no such tree."""
    return {
        path.name.split("_", 1)[0]: path.name
        for path in sorted((directory / "supabase" / "migrations").glob("*_*.sql"))
    }
