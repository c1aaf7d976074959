"""Connections to the database that outlive its restarts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

_LOG = logging.getLogger(__name__)
_RETRY_S = 0.2
_SIZE = 4

T = TypeVar("T")


class Pool:
    def __init__(self, dsn: str) -> None:
        self._pool = AsyncConnectionPool(
            dsn, min_size=1, max_size=_SIZE, open=False, kwargs={"autocommit": True}, name="realtime"
        )

    async def open(self) -> None:
        await self._pool.open()

    async def close(self) -> None:
        await self._pool.close()

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do the work on a connection; again from the start if that breaks, until there is a database."""
        while True:
            connection: AsyncConnection | None = None
            try:
                async with self._pool.connection() as connection:
                    return await work(connection)
            except OperationalError as error:
                if connection and not connection.broken and not connection.closed:
                    raise
                _LOG.warning("database unavailable, retrying: %s", error)
                await asyncio.sleep(_RETRY_S)
