"""Keeps the catalog fresh: reads it again whenever somebody says `notify pgrst`."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

import psycopg

from localbase.postgres import DatabaseAddress
from localbase.rest.catalog import Catalog, read_catalog

_CHANNEL = "pgrst"
_RELOAD = frozenset({"", "reload schema", "reload config"})
_RECONNECT_DELAY_S = 0.1
_LOG = logging.getLogger(__name__)


class CatalogWatcher:
    """Holds the present catalog, and the one connection that listens for changes."""

    def __init__(
        self,
        database: DatabaseAddress,
        schemas: tuple[str, ...],
        on_reconnect: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._schemas = schemas
        self._on_reconnect = on_reconnect
        self._catalog: Catalog | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def catalog(self) -> Catalog:
        if self._catalog is None:
            raise RuntimeError("the catalog is read when the watcher starts")
        return self._catalog

    async def start(self) -> None:
        """Returns when the catalog has been read. Raises psycopg.Error when it cannot be."""
        connection = await self._connect()
        self._task = asyncio.create_task(self._watch(connection), name="localbase-catalog")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _connect(self) -> psycopg.AsyncConnection:
        connection = await psycopg.AsyncConnection.connect(
            self._database.dsn("authenticator"), autocommit=True, application_name="localbase-catalog"
        )
        try:
            # Listen first: a change while the catalog is read is announced afterwards.
            await connection.execute(f"listen {_CHANNEL}")
            self._catalog = await read_catalog(connection, self._schemas)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _watch(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            try:
                await self._follow(connection)
            except psycopg.Error as error:
                # The server restarts, or the database is being made anew.
                _LOG.debug("lost the catalog connection: %s", error)
            finally:
                await connection.close()
            connection = await self._reconnect()
            await self._on_reconnect()

    async def _follow(self, connection: psycopg.AsyncConnection) -> None:
        # A migration announces itself many times; what has arrived is answered by one reading.
        while True:
            heard = [notice.payload async for notice in connection.notifies(stop_after=1)]
            if any(payload in _RELOAD for payload in heard):
                self._catalog = await read_catalog(connection, self._schemas)

    async def _reconnect(self) -> psycopg.AsyncConnection:
        while True:
            try:
                return await self._connect()
            except psycopg.Error as error:
                _LOG.debug("cannot read the catalog yet: %s", error)
                await asyncio.sleep(_RECONNECT_DELAY_S)
