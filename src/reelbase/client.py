"""The clients: where services, executors and the feed are put together."""

import asyncio
import inspect
import tracemalloc
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from reelbase.errors import ConfigurationError
from reelbase.execution.call import Call
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
    import supabase

DEFAULT_TIMEOUT = 10.0
LIVE_BEAT = 10.0
POLLING_BEAT = 1.0

_Wires = tuple[Callable[[Call[Any]], Any], Callable[[Watch], Any]]
"""What carries calls, and what follows events."""


class _Client(Services[M], ABC):
    """What both clients share.

    `key` is an API key of either kind. `access_token` is the JWT of whoever the client speaks for;
    without one it speaks for the key. `timeout` is seconds that a call may take, repeats included.
    """

    def __init__(
        self, url: str, key: str, *, access_token: str | None = None, timeout: float = DEFAULT_TIMEOUT
    ) -> None:
        self._url = url
        # Python 3.11 does not find it by `source` for objects with a __dict__.
        self._place = _place() if tracemalloc.is_tracing() else ""
        self._carry, self._follow = self._connect(url, key, access_token, _checked(timeout))
        super().__init__(self._carry, self._follow)

    @abstractmethod
    def _connect(self, url: str, key: str, access_token: str | None, timeout: float) -> _Wires:
        """Make connections ready, and what services need of them."""

    def with_timeout(self, seconds: float) -> Services[M]:
        """The same services over the same connections, with another time for each call.

        `client.with_timeout(2).jobs.get(id)` raises CallTimeout after two seconds, repeats included.
        """
        carry, timeout = self._carry, _checked(seconds)
        return Services(lambda call: carry(replace(call, timeout=timeout)), self._follow)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._url}>"

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        # Only who connected has something to close.
        executor = vars(self).get("_executor")
        if executor is not None and executor.opened:
            executor.forget()
            warn(f"unclosed client {self!r}{self._place}", ResourceWarning, source=self)

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
        return self._executor.run, self._feeds.open

    @property
    def supabase(self) -> "supabase.AsyncClient":
        """The plain supabase-py client, for what reelbase does not do; made when it is first asked for."""
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
        self._feeds = _Feeds(url, key, access_token, _in_thread(self._executor))
        return self._executor.run, _opener(self._feeds, self._loop)

    @property
    def supabase(self) -> "supabase.Client":
        """The plain supabase-py client, for what reelbase does not do; made when it is first asked for."""
        return self._executor.supabase

    def close(self) -> None:
        """Close all connections, streams and the background thread. Harmless when done twice."""
        self._loop.close()
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
    if not timeout > 0:
        raise ConfigurationError(f"A timeout of {timeout} seconds leaves no time.", hint="Give more than 0.")
    return timeout


# Functions, not methods of the client: it should not be part of a cycle, so that a forgotten one is noticed
# at once.
def _opener(feeds: "_Feeds", loop: BackgroundLoop) -> Callable[[Watch], EventStream]:
    return lambda watch: EventStream(feeds.open(watch), loop)


def _in_thread(executor: RestExecutor) -> Carry:
    async def carry(call: Call[Any]) -> Any:
        # A worker thread, so that one slow read of the log does not hold up other streams.
        return await asyncio.to_thread(executor.run, call)

    return carry


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
