"""The clients: where services, executors and the feed are put together."""

import asyncio
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import supabase

from reelbase.execution.call import Call
from reelbase.execution.operation import Async, M, Sync
from reelbase.execution.rest import AsyncRestExecutor, RestExecutor
from reelbase.health.checkup import AsyncHealth, Checkup, Health
from reelbase.health.pool import pool_of
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


class _Client(Services[M], ABC):
    """What both clients share.

    `key` is an API key of either kind. `access_token` is the JWT of whoever the client speaks for;
    without one it speaks for the key. `timeout` is seconds a single request may take.
    """

    def __init__(
        self, url: str, key: str, *, access_token: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        super().__init__(*self._connect(url, key, access_token, timeout))

    @abstractmethod
    def _connect(self, url: str, key: str, access_token: str | None, timeout: float) -> _Wires:
        """Make connections ready, and what services need of them."""

    @classmethod
    def from_env(cls, key: KeyName = "service_role") -> Self:
        """A client from the environment and `.env`. Raises ConfigurationError."""
        settings = Settings.load()
        return cls(settings.supabase_url, settings.key(key), timeout=settings.reelbase_timeout)


class AsyncReelbase(_Client[Async]):
    """reelbase for asyncio; of one event loop. Use it as `async with`, or call `aclose`."""

    def _connect(self, url: str, key: str, access_token: str | None, timeout: float) -> _Wires:
        self._executor = AsyncRestExecutor(url, key, access_token=access_token, timeout=timeout)
        self._feeds = _Feeds(url, key, access_token, self._executor.run)
        self.health = AsyncHealth(
            self._executor.run, Checkup(self._executor.run, self._feeds.endpoint, pool_of(self))
        )
        return self._executor.run, self._feeds.open

    @property
    def supabase(self) -> supabase.AsyncClient:
        """The plain supabase-py client, for what reelbase does not do."""
        return self._executor.supabase

    async def aclose(self) -> None:
        """Close all connections and streams. Harmless when done twice."""
        await self._feeds.close()
        await self._executor.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Reelbase(_Client[Sync]):
    """reelbase for synchronous code. Use it as `with`, or call `close`."""

    def _connect(self, url: str, key: str, access_token: str | None, timeout: float) -> _Wires:
        self._executor = RestExecutor(url, key, access_token=access_token, timeout=timeout)
        self._loop = BackgroundLoop()
        self._feeds = _Feeds(url, key, access_token, self._carry_in_thread)
        checkup = Checkup(self._carry_in_thread, self._feeds.endpoint, pool_of(self))
        self.health = Health(self._executor.run, checkup, self._loop.run)
        return self._executor.run, self._open

    @property
    def supabase(self) -> supabase.Client:
        """The plain supabase-py client, for what reelbase does not do."""
        return self._executor.supabase

    def close(self) -> None:
        """Close all connections, streams and the background thread. Harmless when done twice."""
        self._loop.close()
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
        self.endpoint = RealtimeEndpoint(f"{url.rstrip('/')}/realtime/v1", key, access_token)
        self._carry = carry
        self._streams: weakref.WeakSet[AsyncEventStream] = weakref.WeakSet()

    def open(self, watch: Watch) -> AsyncEventStream:
        live = LiveRows(
            self.endpoint, f"job_id=eq.{watch.job_id}", live_beat=LIVE_BEAT, polling_beat=POLLING_BEAT
        )
        counts = Counts()
        events = AsyncEventStream(follow(watch, self._carry, live, counts), counts)
        self._streams.add(events)
        return events

    async def close(self) -> None:
        for events in list(self._streams):
            await events.aclose()
