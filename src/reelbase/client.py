"""The clients: where services, executors and the feed are put together."""

import asyncio
import weakref
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import supabase

from reelbase.execution.batch import AsyncBatch, Batch
from reelbase.execution.call import Call
from reelbase.execution.database import AsyncDatabase, Database
from reelbase.execution.operation import Async, M, Sync
from reelbase.execution.rest import AsyncRestExecutor, RestExecutor
from reelbase.realtime.background import BackgroundLoop
from reelbase.realtime.channel import RealtimeEndpoint
from reelbase.realtime.feed import Carry, Counts, follow
from reelbase.realtime.live import LiveRows
from reelbase.realtime.stream import AsyncEventStream, EventStream
from reelbase.realtime.watch import Watch
from reelbase.services.table import Services
from reelbase.settings import KeyName, Settings

if TYPE_CHECKING:
    # Of the extra `transactions`.
    from reelbase.transactions import AsyncTransaction, Isolation, PoolStats, Transaction
    from reelbase.transactions.options import Options
    from reelbase.transactions.source import AsyncSpeaker, SyncSpeaker

T = TypeVar("T")

DEFAULT_TIMEOUT = 10.0
LIVE_BEAT = 10.0
POLLING_BEAT = 1.0
POOL_SIZE = 4
TRANSACTION_TIMEOUT = 5.0
ATTEMPTS = 5

_Wires = tuple[Callable[[Call[Any]], Any], Callable[[Watch], Any]]
"""What carries calls, and what follows events."""


class _Client(Services[M], ABC):
    """What both clients share.

    `key` is an API key of either kind. `access_token` is the JWT of whoever the client speaks for;
    without one it speaks for the key. `timeout` is seconds a single request may take.

    Transactions go to `database_url`, with `pool_size` connections at most, and take `transaction_timeout`
    seconds at most unless told otherwise. Nothing connects there before the first one.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        access_token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        database_url: str | None = None,
        pool_size: int = POOL_SIZE,
        transaction_timeout: float = TRANSACTION_TIMEOUT,
    ) -> None:
        self._carry, follow = self._connect(url, key, access_token, timeout)
        super().__init__(self._carry, follow)
        self._bearer = access_token or key
        self._database = self._connections(database_url, pool_size)
        self._transaction_timeout = transaction_timeout

    @abstractmethod
    def _connect(self, url: str, key: str, access_token: str | None, timeout: float) -> _Wires:
        """Make connections ready, and what services need of them."""

    @abstractmethod
    def _connections(self, database_url: str | None, size: int) -> Any:
        """The database that transactions go to. Nothing connects yet."""

    @classmethod
    def from_env(cls, key: KeyName = "service_role") -> Self:
        """A client from the environment and `.env`. Raises ConfigurationError."""
        settings = Settings.load()
        address = settings.database_url
        return cls(
            settings.supabase_url,
            settings.key(key),
            timeout=settings.reelbase_timeout,
            database_url=address.get_secret_value() if address else None,
            pool_size=settings.reelbase_pool_size,
            transaction_timeout=settings.reelbase_transaction_timeout,
        )

    def _options(self, timeout: float | None, isolation: "Isolation | None") -> "Options":
        from reelbase.transactions.options import Options  # noqa: PLC0415  # needs the extra

        return Options(self._transaction_timeout if timeout is None else timeout, isolation)


class AsyncReelbase(_Client[Async]):
    """reelbase for asyncio; of one event loop. Use it as `async with`, or call `aclose`."""

    _database: AsyncDatabase

    def _connections(self, database_url: str | None, size: int) -> AsyncDatabase:
        return AsyncDatabase(database_url, size)

    def _connect(self, url: str, key: str, access_token: str | None, timeout: float) -> _Wires:
        self._executor = AsyncRestExecutor(url, key, access_token=access_token, timeout=timeout)
        self._feeds = _Feeds(url, key, access_token, self._executor.run)
        return self._executor.run, self._feeds.open

    @property
    def supabase(self) -> supabase.AsyncClient:
        """The plain supabase-py client, for what reelbase does not do."""
        return self._executor.supabase

    def transaction(
        self, *, timeout: float | None = None, isolation: "Isolation | None" = None
    ) -> AbstractAsyncContextManager["AsyncTransaction"]:
        """All that happens inside takes effect together, or not at all.

        `tx` has the services of the client, for the same caller, and takes one connection. `timeout` is
        seconds from begin to end; `isolation` the database's own level, read committed, unless given.
        Raises TransactionFailed, PoolExhausted, ConfigurationError without `database_url`.
        """
        return self._database.transactions.begin(self._speaker(), self._options(timeout, isolation))

    async def run_transaction(
        self,
        work: "Callable[[AsyncTransaction], Awaitable[T]]",
        *,
        attempts: int = ATTEMPTS,
        timeout: float | None = None,  # noqa: ASYNC109  # of the transaction, on both sides
        isolation: "Isolation | None" = None,
    ) -> T:
        """What `work` returns, run in a transaction, and again when that was in conflict with another one.

        `work` is run from its beginning up to `attempts` times, after deadlocks, serialization failures and
        broken connections: what it does besides must bear that.
        """
        return await self._database.transactions.run(
            self._speaker(), work, self._options(timeout, isolation), attempts
        )

    def batch(self) -> AsyncBatch:
        """Many calls in one request, all or none; later ones may use results of earlier ones.

        Sent at the end of the block, unless it raises. Needs no connection to the database.
        """
        return AsyncBatch(self._carry)

    def pool_stats(self) -> "PoolStats":
        """Connections that transactions have, and what became of transactions so far."""
        return self._database.transactions.stats()

    def _speaker(self) -> "AsyncSpeaker":
        from reelbase.transactions.identity import Speaker  # noqa: PLC0415  # needs the extra

        return Speaker(lambda: self._bearer, self._carry)

    async def aclose(self) -> None:
        """Close all connections and streams. Harmless when done twice."""
        await self._feeds.close()
        await self._database.close()
        await self._executor.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Reelbase(_Client[Sync]):
    """reelbase for synchronous code. Use it as `with`, or call `close`."""

    _database: Database

    def _connections(self, database_url: str | None, size: int) -> Database:
        return Database(database_url, size)

    def _connect(self, url: str, key: str, access_token: str | None, timeout: float) -> _Wires:
        self._executor = RestExecutor(url, key, access_token=access_token, timeout=timeout)
        self._loop = BackgroundLoop()
        self._feeds = _Feeds(url, key, access_token, self._carry_in_thread)
        return self._executor.run, self._open

    @property
    def supabase(self) -> supabase.Client:
        """The plain supabase-py client, for what reelbase does not do."""
        return self._executor.supabase

    def transaction(
        self, *, timeout: float | None = None, isolation: "Isolation | None" = None
    ) -> AbstractContextManager["Transaction"]:
        """All that happens inside takes effect together, or not at all.

        `tx` has the services of the client, for the same caller, and takes one connection. `timeout` is
        seconds from begin to end; `isolation` the database's own level, read committed, unless given.
        Raises TransactionFailed, PoolExhausted, ConfigurationError without `database_url`.
        """
        return self._database.transactions.begin(self._speaker(), self._options(timeout, isolation))

    def run_transaction(
        self,
        work: "Callable[[Transaction], T]",
        *,
        attempts: int = ATTEMPTS,
        timeout: float | None = None,
        isolation: "Isolation | None" = None,
    ) -> T:
        """What `work` returns, run in a transaction, and again when that was in conflict with another one.

        `work` is run from its beginning up to `attempts` times, after deadlocks, serialization failures and
        broken connections: what it does besides must bear that.
        """
        return self._database.transactions.run(
            self._speaker(), work, self._options(timeout, isolation), attempts
        )

    def batch(self) -> Batch:
        """Many calls in one request, all or none; later ones may use results of earlier ones.

        Sent at the end of the block, unless it raises. Needs no connection to the database.
        """
        return Batch(self._carry)

    def pool_stats(self) -> "PoolStats":
        """Connections that transactions have, and what became of transactions so far."""
        return self._database.transactions.stats()

    def _speaker(self) -> "SyncSpeaker":
        from reelbase.transactions.identity import Speaker  # noqa: PLC0415  # needs the extra

        return Speaker(lambda: self._bearer, self._carry)

    def close(self) -> None:
        """Close all connections, streams and threads. Harmless when done twice."""
        self._loop.close()
        self._database.close()
        self._executor.close()

    def _open(self, watch: Watch) -> EventStream:
        return EventStream(self._feeds.open(watch), self._loop)

    async def _carry_in_thread(self, call: Any) -> Any:
        # A worker thread, so that one slow read of the log does not hold up other streams.
        return await asyncio.to_thread(self._executor.run, call)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Feeds:
    """Opens event streams and remembers them, so that they end with their client."""

    def __init__(self, url: str, key: str, access_token: str | None, carry: Carry) -> None:
        self._endpoint = RealtimeEndpoint(f"{url.rstrip('/')}/realtime/v1", key, access_token)
        self._carry = carry
        self._streams: weakref.WeakSet[AsyncEventStream] = weakref.WeakSet()

    def open(self, watch: Watch) -> AsyncEventStream:
        live = LiveRows(
            self._endpoint, f"job_id=eq.{watch.job_id}", live_beat=LIVE_BEAT, polling_beat=POLLING_BEAT
        )
        counts = Counts()
        events = AsyncEventStream(follow(watch, self._carry, live, counts), counts)
        self._streams.add(events)
        return events

    async def close(self) -> None:
        for events in list(self._streams):
            await events.aclose()
