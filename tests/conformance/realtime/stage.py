"""Where sessions are played: a database with the tables of the recording, and a server in front of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psycopg

from localbase.background import BackgroundLoop
from localbase.database import bootstrap
from localbase.gateway import Gateway
from localbase.keys import Keys
from localbase.ports import claim_port
from localbase.postgres import DatabaseAddress, PostgresServer
from localbase.pytest_plugin import LocalStack
from localbase.stack import StackOptions, running_server

_SETUP = Path(__file__).with_name("setup.sql")


@dataclass(frozen=True, slots=True)
class Stage:
    """`restarts` are the parts that a session may stop and start again."""

    url: str
    dsn: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    restarts: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)

    @classmethod
    def of(cls, stack: LocalStack) -> Self:
        _set_up(stack.admin_db_url)
        return cls(f"{stack.api_url}/realtime/v1", stack.admin_db_url, stack.jwt_secret)


@contextmanager
def breakable_stage(workdir: Path, loop: BackgroundLoop) -> Iterator[Stage]:
    """A stage on a server of its own, so that it can be stopped."""
    keys = Keys.local()
    # A port of its own, since a free one would be another after the restart.
    options = StackOptions(workdir=workdir, db_port=claim_port(0), ephemeral=True)
    with running_server(options) as server:
        bootstrap(server.port)
        _set_up(server.database().dsn())
        service = _Service(server.database(), keys)
        loop.run(service.start())
        try:
            yield Stage(
                f"{service.url}/realtime/v1",
                server.database().dsn(),
                keys.jwt_secret,
                {"restart-db": lambda: _restart(server), "restart-server": service.restart},
            )
        finally:
            loop.run(service.stop())


class _Service:
    """A gateway that keeps its port over a restart."""

    def __init__(self, database: DatabaseAddress, keys: Keys) -> None:
        self._database = database
        self._keys = keys
        self._gateway = Gateway(database, keys)

    @property
    def url(self) -> str:
        return self._gateway.url

    async def start(self) -> None:
        await self._gateway.start()

    async def stop(self) -> None:
        await self._gateway.stop()

    async def restart(self) -> None:
        await self._gateway.stop()
        self._gateway = Gateway(self._database, self._keys, port=self._gateway.port)
        await self._gateway.start()


async def _restart(server: PostgresServer) -> None:
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


def _set_up(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_SETUP.read_text(encoding="utf-8"))
