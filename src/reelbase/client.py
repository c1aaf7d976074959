"""The clients: where services, executors and the feed are put together."""

import asyncio
import copy
import inspect
import tracemalloc
import warnings
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from reelbase.cache import Cache
from reelbase.cache.handle import AsyncCacheHandle, CacheHandle
from reelbase.cache.identity import Identity as CacheIdentity
from reelbase.cache.identity import identify
from reelbase.cache.layer import AsyncCachedCarry, CachedCarry
from reelbase.cache.tags import tags_of_event, tags_of_unknown_outcome, tags_of_write
from reelbase.errors import ConfigurationError
from reelbase.execution.batch import AsyncBatch, Batch
from reelbase.execution.call import Call
from reelbase.execution.database import AsyncDatabase, Database
from reelbase.execution.identity import Identity, Secret, TokenProvider, renewing, renewing_async
from reelbase.execution.invalid import invalid
from reelbase.execution.operation import Async, M, Sync
from reelbase.execution.rest import AsyncRestExecutor, RestExecutor
from reelbase.execution.telemetry import Hook, Hooks, Telemetry, current_correlation
from reelbase.health.checkup import AsyncHealth, Checkup, Health
from reelbase.health.pool import pool_of
from reelbase.models import JobEvent
from reelbase.realtime.background import BackgroundLoop, until_closed
from reelbase.realtime.consumer import AsyncConsumer, Consumer
from reelbase.realtime.consumption import Consumption
from reelbase.realtime.endpoint import LivePath, RealtimeEndpoint
from reelbase.realtime.feeds import Feeds
from reelbase.realtime.stream import EventStream
from reelbase.realtime.subscriptions import AsyncSubscriptions, Subscriptions
from reelbase.realtime.topic import Streams
from reelbase.realtime.watch import Subject
from reelbase.services.arguments import Address
from reelbase.services.table import Services
from reelbase.settings import KeyName, Settings

if TYPE_CHECKING:
    import supabase

    from reelbase.execution.signing import SigningKey

    # Of the extra `transactions`.
    from reelbase.transactions import AsyncTransaction, Isolation, PoolStats, Transaction
    from reelbase.transactions.options import Options
    from reelbase.transactions.source import AsyncSpeaker, SyncSpeaker

DEFAULT_TIMEOUT = 10.0
DEFAULT_SLOW_CALL = 1.0
LONGEST_TIMEOUT = 86400.0
POOL_SIZE = 4
TRANSACTION_TIMEOUT = 5.0
ATTEMPTS = 5

T = TypeVar("T")

_Wires = tuple[Callable[[Call[Any]], Any], Callable[[Subject], Any]]
"""What carries calls, and what follows events."""

_Invalidate = Callable[[Iterable[str]], Awaitable[None]]

_Done = list[tuple[Call[Any], Any]]
"""Calls that took effect, with their results."""


class _Client(Services[M], ABC):
    """What both clients share.

    `key` is an API key of either kind. `access_token` is the JWT of whoever the client speaks for, or
    `token_provider` returns it, now and again before it expires; without one the client speaks for the key.
    `timeout` is seconds that a call may take, repeats included, a day at most; one of `slow_call` seconds or
    more is logged as slow. `signing_key` signs watch tokens, for backends. `on_call` is called after each
    call. With a `cache`, which several clients may share, reads may be as old as docs/concepts/cache.md says.
    Events come live by the way that `live` names; docs/concepts/realtime.md says when to choose `broadcast`.

    Transactions go to `database_url`, with `pool_size` connections at most, and take `transaction_timeout`
    seconds at most unless told otherwise. Nothing connects there before the first one.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        access_token: str | None = None,
        token_provider: TokenProvider | None = None,
        signing_key: "SigningKey | None" = None,
        timeout: float = DEFAULT_TIMEOUT,
        slow_call: float = DEFAULT_SLOW_CALL,
        on_call: Hook | None = None,
        cache: Cache | None = None,
        live: LivePath = "postgres_changes",
        database_url: str | None = None,
        pool_size: int = POOL_SIZE,
        transaction_timeout: float = TRANSACTION_TIMEOUT,
    ) -> None:
        # Under the same names, so that a traceback that shows local variables shows none of them.
        key, access_token = Secret(key), None if access_token is None else Secret(access_token)
        database_url = None if database_url is None else Secret(database_url)
        self._url = url
        # Python 3.11 does not find it by `source` for objects with a __dict__.
        self._place = _place() if tracemalloc.is_tracing() else ""
        self._identity = Identity(key, access_token, token_provider)
        self._signing_key = signing_key
        self._cache = cache
        self._live: LivePath = live
        self._telemetry = Telemetry(slow_call=slow_call, address=url)
        if on_call is not None:
            self._telemetry.hooks.after(on_call)
        self._database = self._connections(database_url, pool_size)
        self._transaction_timeout = transaction_timeout
        self._connect(_checked(timeout))
        self._offer()

    @abstractmethod
    def _connect(self, timeout: float) -> None:
        """Make connections ready."""

    @abstractmethod
    def _join(self, identity: Identity) -> None:
        """Go on over the connections of the client that this one is a copy of."""

    @abstractmethod
    def _wires(self) -> _Wires:
        """What services need: the layers around the executor, and the feeds."""

    def _offer(self) -> None:
        self._carry, self._follow = self._wires()
        super().__init__(self._carry, self._follow, self._signing_key)

    @property
    def hooks(self) -> Hooks:
        """Functions to be called around each call, of this client and those derived from it."""
        return self._telemetry.hooks

    @property
    def correlation_id(self) -> str | None:
        """The id that calls carry here, inside of `with reelbase.correlation()`; None outside."""
        return current_correlation()

    def as_user(self, token: str | TokenProvider) -> Self:
        """A client that speaks for the holder of an access token, or of those that a provider returns.

        It shares connections and hooks with this one, which stays who it is and has to stay open, and ends
        with it. Closing it sooner ends its own streams, no more. The database verifies the token.
        """
        if callable(token):
            return self._guest(Identity(self._identity.key, token_provider=token))
        token = Secret(token)
        return self._guest(Identity(self._identity.key, access_token=token))

    def as_client(self, client_ip: Address) -> Self:
        """A client that speaks for an anonymous client of a backend, which is known by its address alone.

        The database then shows and creates what it would if that client had called: its own jobs, live too,
        within its rate limit. For backends with a signing key, which vouches for the address; else raises
        ConfigurationError, and InvalidArgument for what is no address. Take the address from the connection
        or a proxy of yours, never from what the client itself says. Like `as_user` in everything else.
        """
        key = self._signing_key
        if key is None:
            raise ConfigurationError(
                "There is no key to vouch for an address with.",
                hint="Set SUPABASE_JWT_SECRET or REELBASE_SIGNING_KEY, or give the client signing_key.",
            )
        claims = {"role": "anon", "client_ip": _single_address(client_ip)}
        return self._guest(
            Identity(self._identity.key, token_provider=lambda: key.sign(claims, timedelta(hours=1)))
        )

    def _guest(self, identity: Identity) -> Self:
        guest = copy.copy(self)
        guest._identity = identity  # noqa: SLF001  # of the same class
        guest._signing_key = None  # noqa: SLF001  # who speaks for others does not sign
        guest._join(identity)  # noqa: SLF001
        guest._offer()  # noqa: SLF001
        return guest

    def with_timeout(self, seconds: float) -> Services[M]:
        """The same services over the same connections, with another time for each call.

        `client.with_timeout(2).jobs.get(id)` raises CallTimeout after two seconds, repeats included.
        """
        carry, timeout = self._carry, _checked(seconds)
        return Services(lambda call: carry(replace(call, timeout=timeout)), self._follow, self._signing_key)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}>"

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        # Only who connected has something to close.
        executor = vars(self).get("_executor")
        if executor is not None and executor.opened:
            executor.forget()
            warn(f"unclosed client {self!r}{self._place}", ResourceWarning, source=self)

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
            # Only a backend has the one key, and only a backend should have the other.
            signing_key=settings.signing_key() if key == "service_role" else None,
            timeout=settings.reelbase_timeout,
            slow_call=settings.reelbase_slow_call,
            database_url=address.get_secret_value() if address else None,
            pool_size=settings.reelbase_pool_size,
            transaction_timeout=settings.reelbase_transaction_timeout,
            cache=Cache.from_setting(settings.reelbase_cache.get_secret_value()),
            live=settings.reelbase_live,
        )

    def _options(self, timeout: float | None, isolation: "Isolation | None") -> "Options":
        from reelbase.transactions.options import Options  # noqa: PLC0415  # needs the extra

        return Options(self._transaction_timeout if timeout is None else timeout, isolation)


class AsyncReelbase(_Client[Async]):
    """reelbase for asyncio; of one event loop. Use it as `async with`, or call `aclose`."""

    _database: AsyncDatabase
    subscriptions: AsyncSubscriptions

    def _connections(self, database_url: str | None, size: int) -> AsyncDatabase:
        return AsyncDatabase(database_url, size)

    def _connect(self, timeout: float) -> None:
        self._executor = AsyncRestExecutor(self._url, self._identity, timeout=timeout)
        self._feeds: Feeds | None = None
        self._cached: AsyncCachedCarry | None = None

    def _join(self, identity: Identity) -> None:
        self._executor = self._executor.speaking_as(identity)

    def _wires(self) -> _Wires:
        identity = self._identity
        run = renewing_async(self._executor.run, identity, self._executor.timeout)
        self._is_guest = self._feeds is not None
        # The feed and health read past the cache: they must not miss what has just happened.
        watched = self._telemetry.observed_async(run)
        if self._cached is not None:
            self._cached = self._cached.speaking_as(run, _who(self._url, identity))
        elif self._cache is not None:
            self._cached = AsyncCachedCarry(
                run,
                self._cache,
                _who(self._url, identity),
                self._executor.timeout,
                self._executor.loop,
            )
        self.cache = AsyncCacheHandle(self._cached)
        endpoint = _endpoint(self._url, identity, identity.fresh_async)
        invalidate = None if self._cached is None else self._cached.invalidate
        self._feeds = Feeds(endpoint, watched, self._live, _seen(invalidate), host=self._feeds)
        self.subscriptions = AsyncSubscriptions(
            Streams(self._feeds, watched), host=self.subscriptions if self._is_guest else None
        )
        self.health = AsyncHealth(watched, Checkup(watched, endpoint, pool_of(self)))
        if self._cached is None:
            return watched, self._feeds.follow
        return self._telemetry.observed_async(self._cached.carry), self._feeds.follow

    @property
    def supabase(self) -> "supabase.AsyncClient":
        """The plain supabase-py client, for what reelbase does not do; made when it is first asked for."""
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
        return AsyncBatch(self._carry, self._committed())

    def pool_stats(self) -> "PoolStats":
        """Connections that transactions have, and what became of transactions so far."""
        return self._database.transactions.stats()

    def _speaker(self) -> "AsyncSpeaker":
        from reelbase.transactions.identity import Speaker  # noqa: PLC0415  # needs the extra

        # Token and calls of one identity: of another's, the database would be told the wrong caller.
        identity = self._identity
        # Not `identity.token`: before the provider is asked, that is the key, and the key is its host's.
        return Speaker(identity.fresh_async, self._carry, self._telemetry, self._committed())

    def _committed(self) -> Callable[[_Done, bool], Awaitable[None]] | None:
        """What is told the calls of a transaction or batch that took effect: the cache, if there is one."""
        cached = self._cached
        if cached is None:
            return None

        async def committed(done: _Done, certain: bool) -> None:
            await cached.invalidate(_changed_by(done, certain=certain))

        return committed

    async def aclose(self) -> None:
        """Close all connections and streams. Harmless when done twice.

        When the client's event loop has ended, there is nothing left to be waited for, and it is just closed.
        """
        if self._executor.loop.is_over:
            self._forget()
            return
        self._executor.loop.check()
        await self.subscriptions.aclose()
        if self._feeds is not None:
            await self._feeds.close()
        if self._cached is not None and not self._is_guest:
            await self._cached.close()
        if not self._is_guest:
            await self._database.close()
        await self._executor.close()

    def _forget(self) -> None:
        self._executor.forget()
        if not self._is_guest:
            self._database.forget()
            if self._cached is not None:
                self._cached.forget()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Reelbase(_Client[Sync]):
    """reelbase for synchronous code. Use it as `with`, or call `close`."""

    _database: Database
    subscriptions: Subscriptions

    def _connections(self, database_url: str | None, size: int) -> Database:
        return Database(database_url, size)

    def _connect(self, timeout: float) -> None:
        self._executor = RestExecutor(self._url, self._identity, timeout=timeout)
        self._loop = BackgroundLoop()
        self._feeds: Feeds | None = None
        self._cached: CachedCarry | None = None

    def _join(self, identity: Identity) -> None:
        self._executor = self._executor.speaking_as(identity)

    def _wires(self) -> _Wires:
        identity = self._identity
        run = renewing(self._executor.run, identity, self._executor.timeout)
        self._is_guest = self._feeds is not None
        # The feed and health read past the cache: they must not miss what has just happened.
        watched = self._telemetry.observed(run)
        if self._cached is not None:
            self._cached = self._cached.speaking_as(run, _who(self._url, identity))
        elif self._cache is not None:
            self._cached = CachedCarry(run, self._cache, _who(self._url, identity), self._executor.timeout)
        self.cache = CacheHandle(self._cached)
        endpoint = _endpoint(self._url, identity, identity.fresh_async)
        beside = _in_thread(self._executor.run)
        # Renewing outside of the thread: a provider that hangs takes no worker from other streams.
        reading = self._telemetry.observed_async(renewing_async(beside, identity, self._executor.timeout))
        invalidate = None if self._cached is None else _in_thread(self._cached.invalidate)
        self._feeds = Feeds(endpoint, reading, self._live, _seen(invalidate), host=self._feeds)
        self.subscriptions = Subscriptions(
            Streams(self._feeds, reading),
            host=self.subscriptions if self._is_guest else None,
            loop=self._loop,
        )
        self.health = Health(watched, Checkup(reading, endpoint, pool_of(self)), self._loop.run)
        carry = watched if self._cached is None else self._telemetry.observed(self._cached.carry)
        return carry, _opener(self._feeds, self._loop)

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        super().__del__(warn)
        # A guest's is its host's; without the attribute, the client was never made.
        if vars(self).get("_is_guest") is False:
            self._loop.forget()

    @property
    def supabase(self) -> "supabase.Client":
        """The plain supabase-py client, for what reelbase does not do; made when it is first asked for."""
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
        return Batch(self._carry, self._committed())

    def pool_stats(self) -> "PoolStats":
        """Connections that transactions have, and what became of transactions so far."""
        return self._database.transactions.stats()

    def _speaker(self) -> "SyncSpeaker":
        from reelbase.transactions.identity import Speaker  # noqa: PLC0415  # needs the extra

        # Token and calls of one identity: of another's, the database would be told the wrong caller.
        identity = self._identity
        return Speaker(identity.fresh, self._carry, self._telemetry, self._committed())

    def _committed(self) -> Callable[[_Done, bool], None] | None:
        """What is told the calls of a transaction or batch that took effect: the cache, if there is one."""
        cached = self._cached
        if cached is None:
            return None
        return lambda done, certain: cached.invalidate(_changed_by(done, certain=certain))

    def close(self) -> None:
        """Close all connections, streams and the background thread. Harmless when done twice."""
        self.subscriptions.close()
        if self._feeds is not None and self._feeds.in_use and not self._loop.closed:
            with until_closed():
                self._loop.run(self._feeds.close())
        if not self._is_guest:
            self._loop.close()
            self._database.close()
        if self._cached is not None and not self._is_guest:
            self._cached.close()
        self._executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _place() -> str:
    """Where the client is being made, for a message."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return "" if frame is None else f", made at {frame.f_code.co_filename}:{frame.f_lineno}"


def _checked(timeout: float) -> float:
    if not 0 < timeout <= LONGEST_TIMEOUT:
        raise ConfigurationError(
            f"A call cannot take {timeout} seconds.", hint="Give more than 0, and at most a day (86400)."
        )
    return timeout


def _single_address(client_ip: Address) -> str:
    """As the database reads it, to which the zones of an IPv6 address mean nothing."""
    try:
        address = ip_address(str(client_ip))
    except ValueError:
        address = None
    if address is None or getattr(address, "scope_id", None) is not None:
        raise invalid("client_ip", "must be an IP address, without a zone")
    return str(address)


# Functions, not methods of the client: it should not be part of a cycle, so that a forgotten one is noticed
# at once.
def _opener(feeds: Feeds, loop: BackgroundLoop) -> Callable[[Subject | Consumption], EventStream | Consumer]:
    def follow(what: Subject | Consumption) -> EventStream | Consumer:
        followed = feeds.follow(what)
        if isinstance(followed, AsyncConsumer):
            return Consumer(followed, loop)
        return EventStream(followed, loop)

    return follow


def _in_thread(work: Callable[..., T]) -> Callable[..., Awaitable[T]]:
    async def carry(*arguments: Any) -> T:
        # A worker thread, so that one slow read of the log does not hold up other streams.
        return await asyncio.to_thread(work, *arguments)

    return carry


def _who(url: str, identity: Identity) -> Callable[[], CacheIdentity]:
    """For whom results are cached. The whole token counts, so it is looked at again when it has changed."""
    known: list[tuple[str, CacheIdentity]] = []

    def who() -> CacheIdentity:
        token = identity.token
        if not known or known[0][0] != token:
            speaks_for_key = identity.speaks_for_key
            known[:] = [(token, identify(url, identity.key, None if speaks_for_key else token))]
        if identity.due_in() == 0:
            # The provider is about to be asked, and who it speaks for is not known before: nothing is cached.
            return replace(known[0][1], expires_at=0.0)
        return known[0][1]

    return who


def _changed_by(done: _Done, *, certain: bool) -> frozenset[str]:
    if not certain:
        return frozenset().union(*(tags_of_unknown_outcome(call.changes) for call, _ in done))
    return frozenset().union(*(tags_of_write(call.changes, result) for call, result in done))


def _endpoint(url: str, identity: Identity, token: Callable[[], Awaitable[str]]) -> RealtimeEndpoint:
    return RealtimeEndpoint(f"{url.rstrip('/')}/realtime/v1", identity.key, token, identity.due_in)


def _seen(invalidate: _Invalidate | None) -> Callable[[JobEvent], Awaitable[None]] | None:
    """Who reads the job after an event has come sees at least what it tells."""
    if invalidate is None:
        return None

    async def seen(event: JobEvent) -> None:
        await invalidate(tags_of_event(event.job_id))

    return seen
