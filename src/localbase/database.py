"""Databases on the server at a port: what a new one contains, how it is made and taken away."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources

import psycopg
from psycopg import sql

from localbase.errors import LocalbaseError
from localbase.postgres import DATABASE, SUPERUSER, DatabaseAddress

OWNER = "postgres"

_MAINTENANCE = "template1"
_SCHEMA_FILES = ("schemas", "auth", "api", "realtime")
_DROP_TIMEOUT_S = 15.0
_POLL_S = 0.05
_BUILT_IN_ROLES = "pg\\_%"
# The roles of roles.sql. Any other came from a migration and goes with the database.
_ROLES = (
    *("anon", "authenticated", "service_role", "authenticator", OWNER, SUPERUSER),
    *("supabase_auth_admin", "supabase_storage_admin", "supabase_realtime_admin"),
)


def bootstrap(port: int) -> bool:
    """Make a new cluster a Supabase project, all or nothing. False when it is one already."""
    with _connection(port, DATABASE) as connection:
        if connection.execute("select 1 from pg_catalog.pg_roles where rolname = 'anon'").fetchone():
            return False
        with connection.transaction():
            connection.execute(_script("roles"))
            _fill(connection, DATABASE)
        return True


def recreate(port: int) -> None:
    """Bring the project's database back to the state after `bootstrap`, also while clients are connected."""
    drop(port, DATABASE)
    with _connection(port, _MAINTENANCE) as connection:
        _drop_foreign_roles(connection)
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))
    with _connection(port, DATABASE) as connection, connection.transaction():
        _fill(connection, DATABASE)


def clone(port: int, name: str, template: str) -> None:
    """A new database with everything that `template` has. Nobody may be connected to the template."""
    statement = sql.SQL("create database {} template {} owner {}")
    with _connection(port, _MAINTENANCE) as connection:
        connection.execute(statement.format(*map(sql.Identifier, (name, template, OWNER))))


def drop(port: int, name: str) -> None:
    """Drop a database whoever uses it. Replication connections hold it a moment longer than others."""
    statement = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    deadline = time.monotonic() + _DROP_TIMEOUT_S
    with _connection(port, _MAINTENANCE) as connection:
        while True:
            connection.execute(
                "select pg_catalog.pg_terminate_backend(active_pid) from pg_catalog.pg_replication_slots"
                " where database = %s and active",
                (name,),
            )
            try:
                connection.execute(statement)
            except psycopg.errors.ObjectInUse as error:
                if time.monotonic() > deadline:
                    raise LocalbaseError(
                        f"The database {name} is in use: {error.diag.message_detail}."
                    ) from error
                time.sleep(_POLL_S)
            else:
                return


def _fill(connection: psycopg.Connection, name: str) -> None:
    for file in _SCHEMA_FILES:
        connection.execute(_script(file))
    connection.execute(sql.SQL("alter database {} owner to {}").format(*map(sql.Identifier, (name, OWNER))))


def _drop_foreign_roles(connection: psycopg.Connection) -> None:
    found = connection.execute(
        "select rolname from pg_catalog.pg_roles where rolname <> all (%s) and rolname not like %s",
        (list(_ROLES), _BUILT_IN_ROLES),
    )
    for (role,) in found.fetchall():
        connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(role)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def _script(name: str) -> bytes:
    return (resources.files("localbase") / "bootstrap" / f"{name}.sql").read_bytes()


@contextmanager
def _connection(port: int, database: str) -> Iterator[psycopg.Connection]:
    connection = psycopg.connect(DatabaseAddress(port, database).dsn(), autocommit=True)
    try:
        yield connection
    finally:
        connection.close()
