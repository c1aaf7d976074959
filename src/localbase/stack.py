"""A whole stack: Postgres with the project's migrations, and the gateway in front of it."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from localbase.account import Account
from localbase.background import BackgroundLoop
from localbase.database import OWNER, bootstrap, recreate
from localbase.directories import (
    DataDirectory,
    abandoned_directories,
    new_ephemeral_directory,
    open_data_directory,
    project_directory,
)
from localbase.errors import LocalbaseError
from localbase.keys import Keys
from localbase.migrations import migrate, seed
from localbase.orphans import stop_orphan
from localbase.ports import claim_port
from localbase.postgres import DatabaseAddress, PostgresServer
from localbase.project import Project, read_project

if TYPE_CHECKING:
    from localbase.gateway import Gateway

API_PORT = 54321
DB_PORT = 54322


@dataclass(frozen=True, slots=True)
class StackOptions:
    """`workdir` holds `supabase/`. A port of 0 means a free one. No `data_dir` means the project's own."""

    workdir: Path = Path()
    api_port: int = API_PORT
    db_port: int = DB_PORT
    data_dir: Path | None = None
    ephemeral: bool = False
    migrate: bool = True
    jwt_secret: str | None = field(default=None, repr=False)
    bin_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class StackStatus:
    """Where a running stack is and how to get in."""

    api_url: str
    database: DatabaseAddress
    keys: Keys

    @property
    def db_url(self) -> str:
        return self.database.dsn(OWNER)

    def variables(self) -> dict[str, str]:
        """The names and values of `supabase status -o env`."""
        return {
            "API_URL": self.api_url,
            "DB_URL": self.db_url,
            "ANON_KEY": self.keys.anon_key,
            "SERVICE_ROLE_KEY": self.keys.service_role_key,
            "PUBLISHABLE_KEY": self.keys.publishable_key,
            "SECRET_KEY": self.keys.secret_key,
            "JWT_SECRET": self.keys.jwt_secret,
        }


class Stack:
    """An asynchronous context manager. Raises LocalbaseError when a part cannot start."""

    def __init__(self, options: StackOptions) -> None:
        self._options = options
        self._project = read_project(options.workdir)
        self._keys = Keys.local(options.jwt_secret)
        self._resources = ExitStack()
        self._server: PostgresServer | None = None
        self._gateway: Gateway | None = None

    async def __aenter__(self) -> Self:
        # Here and not above: it takes most of the time of the commands that start nothing.
        from localbase.gateway import Gateway  # noqa: PLC0415

        if self._options.api_port:
            claim_port(self._options.api_port)
        self._server = await asyncio.to_thread(self._start_database)
        self._gateway = Gateway(
            self._server.database(),
            self._keys,
            api=self._project.api,
            auth=self._project.auth,
            port=self._options.api_port,
        )
        try:
            await self._gateway.start()
        except BaseException:
            await asyncio.to_thread(self._resources.close)
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._gateway is not None:
            await self._gateway.stop()
        await asyncio.to_thread(self._resources.close)

    @property
    def status(self) -> StackStatus:
        if self._server is None or self._gateway is None:
            raise RuntimeError("the stack has not been entered")
        return StackStatus(self._gateway.url, self._server.database(), self._keys)

    def check_database(self) -> None:
        """Raises LocalbaseError when the server has ended."""
        if self._server is None or not self._server.is_running():
            reason = self._server.panic() if self._server else None
            raise LocalbaseError(
                f"Postgres ended unexpectedly{f': {reason}' if reason else ''}.",
                "Start again; the data is whole.",
            )

    def _start_database(self) -> PostgresServer:
        with ExitStack() as resources:
            server = resources.enter_context(running_server(self._options))
            if self._options.migrate:
                _prepare(self._project, server)
            else:
                bootstrap(server.port)
            self._resources = resources.pop_all()
        return server


def _open_directory(options: StackOptions, account: Account | None) -> DataDirectory:
    if options.ephemeral:
        return new_ephemeral_directory(account)
    path = options.data_dir or project_directory(options.workdir) / "data"
    return open_data_directory(path.resolve(), account)


@contextmanager
def running_server(options: StackOptions) -> Iterator[PostgresServer]:
    """The database server alone."""
    account = Account.needed()
    sweep(account)
    with ExitStack() as resources:
        directory = _open_directory(options, account)
        resources.callback(directory.release)
        server = PostgresServer(directory, port=options.db_port, bin_dir=options.bin_dir)
        resources.callback(server.stop)
        server.start()
        yield server


def _prepare(project: Project, server: PostgresServer) -> None:
    """Make a new cluster a project; what fails at the first start is begun anew at the next."""
    fresh = bootstrap(server.port)
    try:
        fill(project, server.database(), fresh=fresh)
    except BaseException:
        if fresh:
            server.stop()
            shutil.rmtree(server.directory.pgdata)
        raise


def fill(project: Project, database: DatabaseAddress, *, fresh: bool) -> None:
    """Apply the migrations and, in a fresh database, the seeds."""
    migrate(project, database.dsn(OWNER))
    if fresh:
        seed(project, database.dsn(OWNER))


def reset(project: Project, database: DatabaseAddress) -> None:
    """Begin anew: bootstrap, migrations, seeds. Clients that are connected have to connect again."""
    recreate(database.port)
    fill(project, database, fresh=True)


def sweep(account: Account | None) -> None:
    """Take away what ephemeral stacks left that were killed."""
    for directory in abandoned_directories(account):
        stop_orphan(directory.pgdata)
        directory.release()


@contextmanager
def running_stack(options: StackOptions) -> Iterator[StackStatus]:
    """A stack in a background thread, for synchronous code."""
    with BackgroundLoop() as loop:
        stack = Stack(options)
        loop.run(stack.__aenter__())
        try:
            yield stack.status
        finally:
            loop.run(stack.__aexit__(None, None, None))
