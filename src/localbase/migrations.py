"""Applies migrations and seeds, and keeps the same record of them as the Supabase CLI."""

import hashlib
from contextlib import closing
from pathlib import Path

import psycopg
from psycopg.pq import TransactionStatus

from localbase.errors import LocalbaseError
from localbase.project import Migration, Project
from localbase.statements import Statement, split_statements

_MIGRATION_TABLE = """
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (
        version text not null primary key,
        statements text[],
        name text
    )
"""
_SEED_TABLE = """
    create table if not exists supabase_migrations.seed_files (
        path text not null primary key,
        hash text not null
    )
"""


def migrate(project: Project, dsn: str) -> list[Migration]:
    """Apply what is not recorded yet, in order, each file in a transaction with its record.

    `dsn` is that of the role postgres. Raises LocalbaseError with file, line and message; then nothing of
    the failing file is left.
    """
    with closing(_connect(dsn)) as connection:
        connection.execute(_MIGRATION_TABLE)
        done = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()
        applied = {version for (version,) in done}
        pending = [migration for migration in project.migrations if migration.version not in applied]
        for migration in pending:
            _apply(connection, project, migration)
        return pending


def seed(project: Project, dsn: str) -> None:
    """Load the seed files. Meant for a fresh database, after the migrations."""
    with closing(_connect(dsn)) as connection:
        connection.execute(_MIGRATION_TABLE)
        connection.execute(_SEED_TABLE)
        for path in project.seeds:
            _load(connection, project, path)


def _connect(dsn: str) -> psycopg.Connection:
    connection = psycopg.connect(dsn, autocommit=True)
    connection.execute("set client_min_messages = warning")
    return connection


def _apply(connection: psycopg.Connection, project: Project, migration: Migration) -> None:
    script = migration.path.read_text(encoding="utf-8")
    statements = split_statements(script)
    with connection.transaction():
        _run(connection, project.label(migration.path), statements)
        connection.execute(
            "insert into supabase_migrations.schema_migrations (version, name, statements)"
            " values (%s, %s, %s)",
            (migration.version, migration.name, [statement.text for statement in statements]),
        )


def _load(connection: psycopg.Connection, project: Project, path: Path) -> None:
    script = path.read_bytes()
    label = project.label(path)
    with connection.transaction():
        _run(connection, label, split_statements(script.decode()))
        connection.execute(
            "insert into supabase_migrations.seed_files (path, hash) values (%s, %s)"
            " on conflict (path) do update set hash = excluded.hash",
            (label, hashlib.sha256(script).hexdigest()),
        )


def _run(connection: psycopg.Connection, label: str, statements: list[Statement]) -> None:
    for statement in statements:
        try:
            connection.execute(statement.text.encode())
        except psycopg.Error as error:
            raise _failure(label, statement, error) from error
        if connection.info.transaction_status is not TransactionStatus.INTRANS:
            raise LocalbaseError(
                f"{label}:{statement.line}: the file ends its own transaction.",
                "Leave begin and commit out: each file is applied in one transaction.",
            )


def _failure(label: str, statement: Statement, error: psycopg.Error) -> LocalbaseError:
    parts = [error.diag.message_primary or str(error), error.diag.message_detail, error.diag.message_hint]
    said = " ".join(part for part in parts if part)
    return LocalbaseError(f"{label}:{_line(statement, error)}: {said} ({error.sqlstate})")


def _line(statement: Statement, error: psycopg.Error) -> int:
    position = error.diag.statement_position
    if position is None:
        return statement.line
    return statement.start + statement.text.count("\n", 0, int(position) - 1)
