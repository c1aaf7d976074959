"""Connections to the database: a pool that opens with its first use, and what is counted about it."""

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolClosed, PoolTimeout

from reelbase.errors import ConfigurationError, PoolExhausted, ReelbaseError, TransactionFailed
from reelbase.execution.rest import BoundLoop
from reelbase.transactions.failures import unreachable

AsyncConnection = psycopg.AsyncConnection[tuple[Any, ...]]
Connection = psycopg.Connection[tuple[Any, ...]]

_MAX_IDLE = 60.0
_LONGEST_LOOK = 5

# No prepared statements and no settings of the session: behind a pooler in transaction mode the next
# transaction meets another one.
_CONNECTION: Mapping[str, Any] = {
    "autocommit": True,
    "prepare_threshold": None,
    "application_name": "reelbase",
    "keepalives_idle": 30,
}


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Connections now, and transactions since the client was made.

    `waiting` transactions wait for a connection now, `waits` had to. Durations are seconds from begin to end.
    """

    max_size: int
    size: int
    idle: int
    waiting: int
    requests: int
    waits: int
    transactions: int
    commits: int
    rollbacks: int
    retries: int
    total_duration: float
    longest_duration: float

    @property
    def average_duration(self) -> float:
        """Seconds a transaction took on average; 0 before the first has ended."""
        ended = self.commits + self.rollbacks
        return self.total_duration / ended if ended else 0.0


class Counts:
    """What is counted about transactions; threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.transactions = self.commits = self.rollbacks = self.retries = 0
        self.total_duration = self.longest_duration = 0.0

    def begun(self) -> None:
        with self._lock:
            self.transactions += 1

    def ended(self, began: float, *, committed: bool) -> None:
        took = time.monotonic() - began
        with self._lock:
            self.commits += committed
            self.rollbacks += not committed
            self.total_duration += took
            self.longest_duration = max(self.longest_duration, took)

    def retried(self) -> None:
        with self._lock:
            self.retries += 1


def checked(database_url: str | None) -> str:
    """A Postgres address. Raises ConfigurationError; the address is not shown, it holds a password."""
    if not database_url:
        raise ConfigurationError(
            "Transactions need DATABASE_URL, the address of the project's database: set it in the "
            "environment or in .env, or give database_url to the client. A batch (client.batch()) needs none."
        )
    try:
        conninfo_to_dict(database_url)
    except psycopg.Error:
        raise ConfigurationError(
            "DATABASE_URL is wrong: it must be like postgresql://user:password@host:5432/postgres, with "
            "special characters of the password percent-encoded."
        ) from None
    return database_url


def _stats(
    pool: "ConnectionPool[Any] | AsyncConnectionPool[Any] | None", size: int, counts: Counts
) -> PoolStats:
    now = {} if pool is None else pool.get_stats()
    return PoolStats(
        max_size=size,
        size=0 if pool is None or pool.closed else now.get("pool_size", 0),
        idle=now.get("pool_available", 0),
        waiting=now.get("requests_waiting", 0),
        requests=now.get("requests_num", 0),
        waits=now.get("requests_queued", 0),
        transactions=counts.transactions,
        commits=counts.commits,
        rollbacks=counts.rollbacks,
        retries=counts.retries,
        total_duration=counts.total_duration,
        longest_duration=counts.longest_duration,
    )


def _exhausted(size: int, seconds: float) -> PoolExhausted:
    return PoolExhausted(
        f"No connection to the database became free in {seconds:g} s; all {size} are in transactions.",
        hint="Keep transactions short, or raise REELBASE_POOL_SIZE.",
    )


def _closed() -> ReelbaseError:
    return TransactionFailed("ended", "The client is closed.")


# Connections that a forked process finds are its parent's: they are kept here, for to drop them would end
# the parent's sessions.
_PARENTS: list[Any] = []


class AsyncPool:
    """A pool for one event loop."""

    def __init__(self, database_url: str | None, size: int) -> None:
        self._url = checked(database_url)
        self.size = size
        self._pool: AsyncConnectionPool[AsyncConnection] | None = None
        self._loop = BoundLoop()
        self._pid = os.getpid()
        self._closed = False
        self._taken = 0
        self.counts = Counts()

    async def take(self, seconds: float) -> AsyncConnection:
        """A connection, to be given back. Raises PoolExhausted, ConnectionFailed, WrongLoop."""
        pool = await self._opened()
        try:
            connection = await pool.getconn(seconds)
        except PoolTimeout as error:
            if self._taken < self.size:
                # None can be made: the reason is worth more than the time that passed.
                await (await self.connect()).close()
            raise _exhausted(self.size, seconds) from error
        except PoolClosed as error:
            raise _closed() from error
        self._taken += 1
        return connection

    async def give_back(self, connection: AsyncConnection) -> None:
        self._taken -= 1
        if self._pool is None:
            await connection.close()
        else:
            await self._pool.putconn(connection)

    async def _opened(self) -> "AsyncConnectionPool[AsyncConnection]":
        self._loop.check()
        if self._closed:
            raise _closed()
        if self._pid != os.getpid():
            _PARENTS.append(self._pool)
            self._pool, self._pid = None, os.getpid()
        if self._pool is None:
            self._pool = AsyncConnectionPool(
                self._url,
                kwargs=dict(_CONNECTION),
                min_size=0,
                max_size=self.size,
                max_idle=_MAX_IDLE,
                open=False,
                name="reelbase",
            )
            await self._pool.open()
        return self._pool

    async def connect(self) -> AsyncConnection:
        """A connection beside the pool, to look at things. Raises ConnectionFailed."""
        try:
            return await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, prepare_threshold=None, connect_timeout=_LONGEST_LOOK
            )
        except psycopg.Error as error:
            raise unreachable(error) from error

    def stats(self) -> PoolStats:
        return _stats(self._pool, self.size, self.counts)

    async def close(self) -> None:
        self._closed = True
        if self._pool is not None and self._pid == os.getpid():
            await self._pool.close()


class Pool:
    """A pool that threads share."""

    def __init__(self, database_url: str | None, size: int) -> None:
        self._url = checked(database_url)
        self.size = size
        self._pool: ConnectionPool[Connection] | None = None
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._closed = False
        self._taken = 0
        self.counts = Counts()

    def take(self, seconds: float) -> Connection:
        """A connection, to be given back. Raises PoolExhausted, ConnectionFailed."""
        pool = self._opened()
        try:
            connection = pool.getconn(seconds)
        except PoolTimeout as error:
            if self._taken < self.size:
                # None can be made: the reason is worth more than the time that passed.
                self.connect().close()
            raise _exhausted(self.size, seconds) from error
        except PoolClosed as error:
            raise _closed() from error
        with self._lock:
            self._taken += 1
        return connection

    def give_back(self, connection: Connection) -> None:
        with self._lock:
            self._taken -= 1
        if self._pool is None:
            connection.close()
        else:
            self._pool.putconn(connection)

    def _opened(self) -> "ConnectionPool[Connection]":
        if self._pid != os.getpid():
            _PARENTS.append(self._pool)
            self._pool, self._pid, self._lock = None, os.getpid(), threading.Lock()
        with self._lock:
            if self._closed:
                raise _closed()
            if self._pool is None:
                self._pool = ConnectionPool(
                    self._url,
                    kwargs=dict(_CONNECTION),
                    min_size=0,
                    max_size=self.size,
                    max_idle=_MAX_IDLE,
                    open=True,
                    name="reelbase",
                )
            return self._pool

    def connect(self) -> Connection:
        """A connection beside the pool, to look at things. Raises ConnectionFailed."""
        try:
            return psycopg.connect(
                self._url, autocommit=True, prepare_threshold=None, connect_timeout=_LONGEST_LOOK
            )
        except psycopg.Error as error:
            raise unreachable(error) from error

    def stats(self) -> PoolStats:
        return _stats(self._pool, self.size, self.counts)

    def close(self) -> None:
        with self._lock:
            self._closed = True
        if self._pool is not None and self._pid == os.getpid():
            self._pool.close()
