"""Servers of two Postgres versions, and databases on them: empty ones, and ones with the migrations."""

import itertools
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from localbase.account import Account
from localbase.binaries import find_binaries
from localbase.database import OWNER, bootstrap, clone, drop
from localbase.migrations import migrate
from localbase.postgres import DATABASE, DatabaseAddress
from localbase.project import read_project
from localbase.stack import StackOptions, running_server

ROOT = Path(__file__).parents[2]
SUPABASE = ROOT / "supabase"
MIGRATIONS = sorted((SUPABASE / "migrations").glob("*.sql"))
CLI = ROOT / "node_modules" / ".bin" / "supabase"

DEBIAN = Path("/usr/lib/postgresql/15/bin")
PACKAGES = "apt-get install postgresql-15 postgresql-15-pgtap postgresql-15-plpgsql-check"
_PGTAP = Path("/usr/share/postgresql/15/extension")

_MIGRATED = "migrated"

Session = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Database:
    """One database, and the programs of its server."""

    address: DatabaseAddress
    programs: Path

    @property
    def url(self) -> str:
        """As the role postgres, which owns the database and is no superuser."""
        return self.address.dsn(OWNER)

    def connect(self) -> Session:
        return psycopg.connect(self.url, autocommit=True)

    def connect_as_superuser(self) -> Session:
        return psycopg.connect(self.address.dsn(), autocommit=True)

    def psql(self, *files: Path) -> subprocess.CompletedProcess[str]:
        """Run files as a person would: one psql for each file, which stops at the first error."""
        done = [self._psql(file) for file in files]
        return done[-1]

    def apply(self, *files: Path) -> None:
        for file in files:
            done = self._psql(file)
            assert done.returncode == 0, f"{file.name}: {done.stderr}"

    def _psql(self, file: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", file, self.url],
            env={**os.environ, "PGOPTIONS": "-c client_min_messages=warning"},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; its template `migrated` has the migrations, `postgres` has none."""

    port: int
    programs: Path
    major: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def empty(self) -> Iterator[Database]:
        """A database as a new project has it."""
        with self._database(DATABASE) as database:
            yield database

    @contextmanager
    def migrated(self) -> Iterator[Database]:
        """A database with the migrations."""
        with self._database(_MIGRATED) as database:
            yield database

    @contextmanager
    def copy_of(self, original: Database) -> Iterator[Database]:
        """A copy, as the original is now. Nobody may be connected to it."""
        with self._database(original.address.name) as database:
            yield database

    @contextmanager
    def _database(self, template: str) -> Iterator[Database]:
        address = DatabaseAddress(self.port, f"test_{next(self._numbers)}")
        clone(self.port, address.name, template)
        try:
            yield Database(address, self.programs)
        finally:
            drop(self.port, address.name)


@contextmanager
def serving(bin_dir: Path | None) -> Iterator[Server]:
    """A server of the installation in `bin_dir`, else of localbase's own."""
    binaries = find_binaries(Account.needed(), bin_dir)
    options = StackOptions(workdir=ROOT, db_port=0, ephemeral=True, bin_dir=bin_dir)
    with running_server(options) as server:
        bootstrap(server.port)
        clone(server.port, _MIGRATED, DATABASE)
        migrate(read_project(ROOT), server.database(_MIGRATED).dsn(OWNER))
        yield Server(server.port, binaries.folder, binaries.major)


def pgtap_script() -> Path | None:
    """pgTAP is plain SQL: the script of Debian's package runs on every version."""
    scripts = [file for file in _PGTAP.glob("pgtap--*.sql") if re.fullmatch(r"pgtap--[\d.]+\.sql", file.name)]
    return scripts[0] if scripts else None
