"""Many short-lived stacks on one server, for tests."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from localbase.background import BackgroundLoop
from localbase.database import OWNER, bootstrap, clone, drop
from localbase.gateway import Gateway
from localbase.keys import Keys
from localbase.postgres import DATABASE, DatabaseAddress
from localbase.project import FOLDER, ApiConfig, AuthConfig, Project, read_project
from localbase.pytest_plugin import LocalStack
from localbase.stack import StackOptions, fill, running_server


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server whose database `postgres` is a template, and a loop for the gateways."""

    port: int
    keys: Keys
    api: ApiConfig
    auth: AuthConfig
    loop: BackgroundLoop
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def stack(self) -> Iterator[LocalStack]:
        """A fresh database with a gateway on a free port."""
        database = DatabaseAddress(self.port, f"test_{next(self._numbers)}")
        clone(self.port, database.name, DATABASE)
        try:
            with self._gateway(database) as gateway:
                yield self._handle(gateway, database)
        finally:
            drop(self.port, database.name)

    @contextmanager
    def _gateway(self, database: DatabaseAddress) -> Iterator[Gateway]:
        gateway = Gateway(database, self.keys, api=self.api, auth=self.auth)
        self.loop.run(gateway.start())
        try:
            yield gateway
        finally:
            self.loop.run(gateway.stop())

    def _handle(self, gateway: Gateway, database: DatabaseAddress) -> LocalStack:
        return LocalStack(
            api_url=gateway.url,
            db_url=database.dsn(OWNER),
            admin_db_url=database.dsn(),
            anon_key=self.keys.anon_key,
            service_role_key=self.keys.service_role_key,
            publishable_key=self.keys.publishable_key,
            secret_key=self.keys.secret_key,
            jwt_secret=self.keys.jwt_secret,
        )


@contextmanager
def running_cluster(workdir: Path) -> Iterator[Cluster]:
    """A server with the migrations and seeds of `workdir`, if it has a folder supabase."""
    project = _project(workdir)
    options = StackOptions(workdir=workdir, db_port=0, ephemeral=True)
    with running_server(options) as server, BackgroundLoop("localbase-tests") as loop:
        bootstrap(server.port)
        fill(project, server.database(), fresh=True)
        yield Cluster(server.port, Keys.local(), project.api, project.auth, loop)


def _project(workdir: Path) -> Project:
    return read_project(workdir) if (workdir / FOLDER).is_dir() else Project(workdir, ApiConfig())
