"""The clients: where services, executors and the feed are put together."""

import asyncio
import contextlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Self

import supabase

from reelbase.cache import Cache
from reelbase.cache.handle import AsyncCacheHandle, CacheHandle
from reelbase.cache.identity import identify
from reelbase.cache.layer import AsyncCachedCarry, CachedCarry
from reelbase.cache.tags import tags_of_event
from reelbase.execution.call import Call
from reelbase.execution.operation import Async, M, Sync
from reelbase.execution.rest import AsyncRestExecutor, RestExecutor
from reelbase.models import JobEvent
from reelbase.realtime.background import BackgroundLoop
from reelbase.realtime.channel import RealtimeEndpoint
from reelbase.realtime.feed import Carry, Counts, follow
from reelbase.realtime.live import LiveRows
from reelbase.realtime.stream import AsyncEventStream, EventStream
from reelbase.realtime.watch import Watch
from reelbase.services.table import Services
from reelbase.settings import KeyName, Settings

DEFAULT_TIMEOUT = 10.0
LIVE_BEAT = 10.0
POLLING_BEAT = 1.0

_Wires = tuple[Callable[[Call[Any]], Any], Callable[[Watch], Any]]
"""What carries calls, and what follows events."""

_Invalidate = Callable[[Iterable[str]], Awaitable[None]]


class _Client(Services[M], ABC):
    """What both clients share.

    `key` is an API key of either kind. `access_token` is the JWT of whoever the client speaks for;
    without one it speaks for the key. `timeout` is seconds a single request may take. With a `cache`, which
    several clients may share, reads may be as old as docs/concepts/cache.md says.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        access_token: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        cache: Cache | None = None,
    ) -> None:
        super().__init__(*self._connect(url, key, access_token, timeout, cache))

    @abstractmethod
    def _connect(
        self, url: str, key: str, access_token: str | None, timeout: float, cache: Cache | None
    ) -> _Wires:
        """Make connections ready, and what services need of them."""

    @classmethod
    def from_env(cls, key: KeyName = "service_role") -> Self:
        """A client from the environment and `.env`. Raises ConfigurationError."""
        settings = Settings.load()
        return cls(
            settings.supabase_url,
            settings.key(key),
            timeout=settings.reelbase_timeout,
            cache=Cache.from_setting(settings.reelbase_cache.get_secret_value()),
        )


class AsyncReelbase(_Client[Async]):
    """reelbase for asyncio; of one event loop. Use it as `async with`, or call `aclose`."""

    def _connect(
        self, url: str, key: str, access_token: str | None, timeout: float, cache: Cache | None
    ) -> _Wires:
        self._executor = AsyncRestExecutor(url, key, access_token=access_token, timeout=timeout)
        who = identify(url, key, access_token)
        self._cached = AsyncCachedCarry(self._executor.run, cache, lambda: who) if cache else None
        self.cache = AsyncCacheHandle(self._cached)
        # The feed reads past the cache: it must not miss what has just happened.
        self._feeds = _Feeds(
            url, key, access_token, self._executor.run, self._cached.invalidate if self._cached else None
        )
        return self._cached.carry if self._cached else self._executor.run, self._feeds.open

    @property
    def supabase(self) -> supabase.AsyncClient:
        """The plain supabase-py client, for what reelbase does not do."""
        return self._executor.supabase

    async def aclose(self) -> None:
        """Close all connections and streams. Harmless when done twice."""
        await self._feeds.close()
        if self._cached is not None:
            await self._cached.close()
        await self._executor.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Reelbase(_Client[Sync]):
    """reelbase for synchronous code. Use it as `with`, or call `close`."""

    def _connect(
        self, url: str, key: str, access_token: str | None, timeout: float, cache: Cache | None
    ) -> _Wires:
        self._executor = RestExecutor(url, key, access_token=access_token, timeout=timeout)
        self._loop = BackgroundLoop()
        who = identify(url, key, access_token)
        self._cached = CachedCarry(self._executor.run, cache, lambda: who) if cache else None
        self.cache = CacheHandle(self._cached)
        # The feed reads past the cache: it must not miss what has just happened.
        self._feeds = _Feeds(
            url,
            key,
            access_token,
            self._carry_in_thread,
            self._invalidate_in_thread if self._cached else None,
        )
        return self._cached.carry if self._cached else self._executor.run, self._open

    @property
    def supabase(self) -> supabase.Client:
        """The plain supabase-py client, for what reelbase does not do."""
        return self._executor.supabase

    def close(self) -> None:
        """Close all connections, streams and the background thread. Harmless when done twice."""
        self._loop.close()
        if self._cached is not None:
            self._cached.close()
        self._executor.close()

    def _open(self, watch: Watch) -> EventStream:
        return EventStream(self._feeds.open(watch), self._loop)

    async def _carry_in_thread(self, call: Any) -> Any:
        # A worker thread, so that one slow read of the log does not hold up other streams.
        return await asyncio.to_thread(self._executor.run, call)

    async def _invalidate_in_thread(self, tags: Iterable[str]) -> None:
        if self._cached is not None:
            await asyncio.to_thread(self._cached.invalidate, tags)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Feeds:
    """Opens event streams and remembers them, so that they end with their client."""

    def __init__(
        self, url: str, key: str, access_token: str | None, carry: Carry, invalidate: _Invalidate | None
    ) -> None:
        self._endpoint = RealtimeEndpoint(f"{url.rstrip('/')}/realtime/v1", key, access_token)
        self._carry = carry
        self._invalidate = invalidate
        self._streams: weakref.WeakSet[AsyncEventStream] = weakref.WeakSet()

    def open(self, watch: Watch) -> AsyncEventStream:
        live = LiveRows(
            self._endpoint, f"job_id=eq.{watch.job_id}", live_beat=LIVE_BEAT, polling_beat=POLLING_BEAT
        )
        counts = Counts()
        followed = follow(watch, self._carry, live, counts)
        if self._invalidate is not None:
            followed = _invalidating(followed, self._invalidate)
        events = AsyncEventStream(followed, counts)
        self._streams.add(events)
        return events

    async def close(self) -> None:
        for events in list(self._streams):
            await events.aclose()


async def _invalidating(
    events: AsyncGenerator[JobEvent, None], invalidate: _Invalidate
) -> AsyncGenerator[JobEvent, None]:
    """The same events; who reads the job after one has come sees at least what it tells."""
    async with contextlib.aclosing(events):
        async for event in events:
            await invalidate(tags_of_event(event.job_id))
            yield event
