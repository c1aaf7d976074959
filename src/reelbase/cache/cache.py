"""The cache that clients are given: its settings, what is in memory, and the way to Redis."""

import asyncio
import importlib.util
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from reelbase.cache.lifetimes import Lifetimes
from reelbase.cache.memory import Memory
from reelbase.cache.stats import CacheStats, Counter, LevelStats
from reelbase.errors import ConfigurationError
from reelbase.execution.identity import Secret

if TYPE_CHECKING:
    from reelbase.cache.redis import AsyncRedisStore, RedisStore

logger = logging.getLogger(__name__)

_SCHEMES = ("redis", "rediss", "unix")


class Cache:
    """Remembers what clients read: `Reelbase(url, key, cache=Cache())`.

    Clients may share one, also those of different users: each is served only what it has read itself, or what
    another client of the same identity has. In memory a result stays for at most `memory_seconds`, however
    long `lifetimes` lets it live, and no more than `max_entries` and `max_bytes` are kept.

    With `redis`, an address such as `redis://localhost:6379/0`, processes share results and invalidations;
    results in memory are then compared with Redis when they are older than `recheck_seconds`. `redis_timeout`
    is seconds that Redis may take before a read goes on without it. Raises ConfigurationError.
    """

    def __init__(
        self,
        *,
        redis: str | None = None,
        lifetimes: Lifetimes | None = None,
        max_entries: int = 1000,
        max_bytes: int = 64 * 1024 * 1024,
        memory_seconds: float = 60.0,
        recheck_seconds: float = 1.0,
        redis_timeout: float = 0.2,
    ) -> None:
        # Under the same name, so that a traceback that shows local variables shows no password.
        redis = None if redis is None else Secret(redis)
        # For the repr, which a traceback may ask for as well.
        self._redis_url: str | None = None
        if max_entries < 1 or max_bytes < 1:
            raise ConfigurationError("A cache needs room: max_entries and max_bytes are at least 1.")
        self.lifetimes = lifetimes or Lifetimes()
        self.memory = Memory(max_entries, max_bytes)
        self.memory_seconds = memory_seconds
        self.recheck_seconds = recheck_seconds
        self.in_memory = Counter()
        self.in_redis = Counter()
        self._redis_url = _checked(redis)
        self._redis_timeout = redis_timeout
        self._lock = threading.Lock()
        self._store: RedisStore | None = None
        self._async_stores: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncRedisStore] = (
            weakref.WeakKeyDictionary()
        )
        self._users: dict[object, int] = {}

    @classmethod
    def from_setting(cls, setting: str) -> Self | None:
        """The cache that REELBASE_CACHE names: `memory`, the address of a Redis, or None for `off`."""
        if setting == "off":
            return None
        setting = Secret(setting)
        return cls() if setting == "memory" else cls(redis=setting)

    def __repr__(self) -> str:
        # Without the address: it may hold a password.
        return f"<Cache in memory{' and Redis' if self._redis_url else ''}>"

    @property
    def has_redis(self) -> bool:
        return self._redis_url is not None

    def open_store(self) -> "RedisStore | None":
        """The way to Redis for threads; `close_store` when done with it."""
        if self._redis_url is None:
            return None
        from reelbase.cache.redis import RedisStore  # noqa: PLC0415  # an extra

        with self._lock:
            if self._store is None:
                self._store = RedisStore(self._redis_url, self._redis_timeout, self.in_redis)
            self._users[self._store] = self._users.get(self._store, 0) + 1
            return self._store

    def close_store(self, store: "RedisStore") -> None:
        """The last one closes the connections."""
        with self._lock:
            if self._left(store):
                self._store = None
                store.close()

    def open_async_store(self) -> "AsyncRedisStore | None":
        """The way to Redis for the running event loop; `close_async_store` when done with it."""
        if self._redis_url is None:
            return None
        from reelbase.cache.redis import AsyncRedisStore  # noqa: PLC0415  # an extra

        loop = asyncio.get_running_loop()
        with self._lock:
            store = self._async_stores.get(loop)
            if store is None:
                store = AsyncRedisStore(self._redis_url, self._redis_timeout, self.in_redis)
                self._async_stores[loop] = store
            self._users[store] = self._users.get(store, 0) + 1
            return store

    async def close_async_store(self, store: "AsyncRedisStore") -> None:
        """The last one closes the connections."""
        with self._lock:
            last = self._left(store)
            if last:
                self._async_stores.pop(asyncio.get_running_loop(), None)
        if last:
            await store.close()

    def forget_async_store(self, store: "AsyncRedisStore") -> None:
        """The same for one of an event loop that has ended: its connections end with it."""
        with self._lock:
            self._left(store)

    def _left(self, store: object) -> bool:
        self._users[store] -= 1
        if self._users[store]:
            return False
        del self._users[store]
        return True

    def stats(self) -> CacheStats:
        """How both levels do, of all clients that share the cache. Asks nobody."""
        entries, size, evictions = self.memory.measure()
        memory, redis = self.in_memory, self.in_redis
        return CacheStats(
            memory=LevelStats(
                hits=memory.hits, misses=memory.misses, entries=entries, bytes=size, evictions=evictions
            ),
            redis=LevelStats(
                hits=redis.hits,
                misses=redis.misses,
                bytes=redis.written_bytes,
                failures=redis.failures,
                rejected=redis.rejected,
            )
            if self.has_redis
            else None,
            joined=memory.joined,
            invalidations=self.memory.invalidations,
        )


def _checked(url: str | None) -> str | None:
    """The address of Redis, None when it cannot be used."""
    if url is None:
        return None
    if not _is_address(url):
        # The address is not shown: it may hold a password.
        raise ConfigurationError(
            "The cache is to be off, memory, or the address of a Redis such as redis://localhost:6379/0.",
            hint="Look at REELBASE_CACHE.",
        )
    if importlib.util.find_spec("redis") is None:
        logger.warning("The cache goes without Redis: its package is missing. pip install 'reelbase[redis]'.")
        return None
    return url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in _SCHEMES and (port is None or port > 0)
