"""The layer around `carry`: reads that are cached are not carried, writes invalidate."""

import copy
import threading
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from reelbase.cache.bypass import bypassed
from reelbase.cache.cache import Cache
from reelbase.cache.codec import Stored
from reelbase.cache.flights import AsyncFlights, Flights
from reelbase.cache.identity import Identity
from reelbase.cache.keys import memory_key, tag_key
from reelbase.cache.memory import Entry
from reelbase.cache.shared import Command, Found, generations_of, look_up, storing
from reelbase.cache.tags import tags_of_read, tags_of_unknown_outcome, tags_of_write
from reelbase.cache.values import fresh
from reelbase.errors import CallRefused
from reelbase.execution.call import Call
from reelbase.execution.deadline import Deadline
from reelbase.execution.rest import BoundLoop

if TYPE_CHECKING:
    from reelbase.cache.redis import AsyncRedisStore, RedisStore

T = TypeVar("T")

Who = Callable[[], Identity]


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    """One call that may be cached."""

    call: Call[T]
    identity: Identity
    key: Hashable
    tags: tuple[str, ...]
    deadline: Deadline[T]


class _Caching:
    """What both layers share: every decision, and no waiting."""

    def __init__(self, cache: Cache, who: Who, timeout: float) -> None:
        self.cache = cache
        self._memory = cache.memory
        self._who = who
        self._timeout = timeout
        self._closed = threading.Event()
        """One for the copies of guests, which end with this."""

    def _cached(self, call: Call[Any]) -> tuple[Hashable, Identity] | None:
        """Under which key and for whom a call is cached; None when it is not."""
        if (
            self._closed.is_set()
            or call.reads is None
            or bypassed.get()
            or not self.cache.lifetimes.cover(call.reads)
        ):
            return None
        identity = self._who()
        return None if identity.expired else (memory_key(identity, call), identity)

    def _reading(self, call: Call[T], key: Hashable, identity: Identity) -> _Read[T]:
        return _Read(call, identity, key, tags_of_read(call.reads or ()), Deadline(call, self._timeout))

    def _entry(self, key: Hashable) -> Entry | None:
        entry = self._memory.get(key)
        if entry is None:
            self.cache.in_memory.misses += 1
        else:
            self.cache.in_memory.hits += 1
        return entry

    def _doubtful(self, entry: Entry) -> bool:
        """Whether to ask Redis if the entry still holds: others may have invalidated it there."""
        return entry.generations is not None and self._due(entry)

    def _due(self, entry: Entry) -> bool:
        now = time.monotonic()
        if now - entry.checked < self.cache.recheck_seconds:
            return False
        # Already now, so that of many readers one asks.
        entry.checked = now
        return True

    def _confirm(self, read: _Read[Any], entry: Entry, answers: list[Any] | None) -> bool:
        """What Redis says of an entry; when it says nothing, the entry holds to its own end."""
        if answers is None or tuple(answers[0]) == entry.generations:
            return True
        self._memory.forget(read.key)
        return False

    def _from_redis(self, read: _Read[T], found: Found[T] | None, born: int) -> Stored[T] | None:
        counter = self.cache.in_redis
        if found is None or found.stored is None:
            counter.misses += 1
            counter.rejected += found is not None and found.rejected
            return None
        counter.hits += 1
        left = found.stored.expires_at - time.time()
        self._remember(read, found.stored.value, left, born, found.generations)
        return found.stored

    def _keep(self, read: _Read[T], value: T, born: int, found: Found[T] | None) -> list[Command]:
        """Remember what was read; commands that share it."""
        seconds = self.cache.lifetimes.of(read.call.reads or (), value)
        if read.identity.expires_at is not None:
            seconds = min(seconds, read.identity.expires_at - time.time())
        if seconds <= 0 or not self._memory.holds(read.tags, born):
            return []
        self._remember(read, value, seconds, born, found.generations if found else None)
        if found is None:
            return []
        return storing(read.identity, read.call, Stored(value, time.time() + seconds, found.generations))

    def _remember(
        self, read: _Read[T], value: T, seconds: float, born: int, generations: tuple[bytes, ...] | None
    ) -> None:
        now = time.monotonic()
        expires = now + min(seconds, self.cache.memory_seconds)
        self._memory.put(
            read.key, Entry(value, read.tags, born, expires, generations=generations, checked=now)
        )

    def _count_written(self, commands: list[Command]) -> None:
        self.cache.in_redis.writes += len(commands)
        self.cache.in_redis.written_bytes += sum(
            len(part) for command in commands for part in command if isinstance(part, bytes)
        )

    def _tag_keys(self, tags: Iterable[str]) -> list[str]:
        identity = self._who()
        return [tag_key(identity, tag) for tag in tags]


class CachedCarry(_Caching):
    """For `Reelbase`; of all threads. `close` it."""

    def __init__(self, carry: Callable[[Call[Any]], Any], cache: Cache, who: Who, timeout: float) -> None:
        super().__init__(cache, who, timeout)
        self._carry = carry
        self._flights = Flights(cache.memory.holds)
        self._store: RedisStore | None = cache.open_store()

    def speaking_as(self, carry: Callable[[Call[Any]], Any], who: Who) -> "CachedCarry":
        """The same layer for somebody else; it ends with this one."""
        guest = copy.copy(self)
        guest._carry, guest._who = carry, who  # noqa: SLF001  # its own copy
        return guest

    def carry(self, call: Call[T]) -> T:
        """The call's result, from wherever it is quickest."""
        if self._store is not None and self._store.owes:
            self._store.run([])
        cached = self._cached(call)
        if cached is None:
            return self._write(call) if call.changes else self._carry_plainly(call)
        key, identity = cached
        entry = self._entry(key)
        if entry is not None and not self._doubtful(entry):
            return fresh(entry.value)  # type: ignore[no-any-return]
        read = self._reading(call, key, identity)
        if entry is not None and self._confirmed(read, entry):
            return fresh(entry.value)  # type: ignore[no-any-return]
        value, joined = self._flights.read(
            key, read.tags, self._memory.moment, lambda born: self._fetch(read, born), read.deadline
        )
        self.cache.in_memory.joined += joined
        result: T = fresh(value)
        return result

    def invalidate(self, tags: Iterable[str]) -> None:
        """Forget what has one of the tags, here and in Redis."""
        tags = frozenset(tags)
        if not tags:
            return
        self._memory.invalidate(tags)
        if self._store is not None:
            self._store.drop(self._tag_keys(tags))

    def close(self) -> None:
        """Let go of Redis. Harmless when done twice."""
        self._closed.set()
        store, self._store = self._store, None
        if store is not None:
            self.cache.close_store(store)

    def _carry_plainly(self, call: Call[T]) -> T:
        result: T = self._carry(call)
        return result

    def _fetch(self, read: _Read[T], born: int) -> T:
        store = self._store if read.identity.shared else None
        found = store.walk(look_up(read.identity, read.call, read.tags)) if store else None
        if store and (stored := self._from_redis(read, found, born)):
            return stored.value
        value = self._carry_plainly(read.deadline.rest())
        if (commands := self._keep(read, value, born, found)) and store:
            self._count_written(commands)
            store.run(commands)
        return value

    def _confirmed(self, read: _Read[T], entry: Entry) -> bool:
        answers = self._store.run(generations_of(read.identity, read.tags)) if self._store else None
        return self._confirm(read, entry, answers)

    def _write(self, call: Call[T]) -> T:
        try:
            result = self._carry_plainly(call)
        except BaseException as error:
            self.invalidate(_tags_of_failure(call, error))
            raise
        self.invalidate(tags_of_write(call.changes, result))
        return result


class AsyncCachedCarry(_Caching):
    """For `AsyncReelbase`; of one event loop. `close` it."""

    def __init__(
        self,
        carry: Callable[[Call[Any]], Awaitable[Any]],
        cache: Cache,
        who: Who,
        timeout: float,
        loop: BoundLoop,
    ) -> None:
        super().__init__(cache, who, timeout)
        self._carry = carry
        self._loop = loop
        self._flights = AsyncFlights(cache.memory.holds)
        self._store: AsyncRedisStore | None = None
        self._host: AsyncCachedCarry | None = None

    def speaking_as(self, carry: Callable[[Call[Any]], Awaitable[Any]], who: Who) -> "AsyncCachedCarry":
        """The same layer for somebody else; it ends with this one."""
        guest = copy.copy(self)
        guest._carry, guest._who, guest._host = carry, who, self  # noqa: SLF001  # its own copy
        return guest

    async def carry(self, call: Call[T]) -> T:
        """The call's result, from wherever it is quickest."""
        self._loop.check()
        if self._store is not None and self._store.owes:
            await self._store.run([])
        cached = self._cached(call)
        if cached is None:
            return await (self._write(call) if call.changes else self._carry(call))
        key, identity = cached
        entry = self._entry(key)
        if entry is not None and not self._doubtful(entry):
            return fresh(entry.value)  # type: ignore[no-any-return]
        read = self._reading(call, key, identity)
        if entry is not None and await self._confirmed(read, entry):
            return fresh(entry.value)  # type: ignore[no-any-return]
        value, joined = await self._flights.read(
            key, read.tags, self._memory.moment, lambda born: self._fetch(read, born), read.deadline
        )
        self.cache.in_memory.joined += joined
        result: T = fresh(value)
        return result

    async def invalidate(self, tags: Iterable[str]) -> None:
        """Forget what has one of the tags, here and in Redis."""
        self._loop.check()
        tags = frozenset(tags)
        if not tags:
            return
        self._memory.invalidate(tags)
        if (store := self._opened()) is not None:
            await store.drop(self._tag_keys(tags))

    async def close(self) -> None:
        """End the reads under way and let go of Redis. Harmless when done twice."""
        self._closed.set()
        await self._flights.close()
        store, self._store = self._store, None
        if store is not None:
            await self.cache.close_async_store(store)

    def forget(self) -> None:
        """Let go of what cannot be closed any more, as its event loop has ended."""
        self._closed.set()
        store, self._store = self._store, None
        if store is not None:
            self.cache.forget_async_store(store)

    def _opened(self) -> "AsyncRedisStore | None":
        if self._host is not None:
            return self._host._opened()  # noqa: SLF001  # of the same class
        # Not before the first call: a client may be made outside of its event loop.
        if self._store is None and not self._closed.is_set():
            self._store = self.cache.open_async_store()
        return self._store

    async def _fetch(self, read: _Read[T], born: int) -> T:
        store = self._opened() if read.identity.shared else None
        found = await store.walk(look_up(read.identity, read.call, read.tags)) if store else None
        if store and (stored := self._from_redis(read, found, born)):
            return stored.value
        value: T = await self._carry(read.deadline.rest())
        if (commands := self._keep(read, value, born, found)) and store:
            self._count_written(commands)
            await store.run(commands)
        return value

    async def _confirmed(self, read: _Read[T], entry: Entry) -> bool:
        store = self._opened()
        answers = await store.run(generations_of(read.identity, read.tags)) if store else None
        return self._confirm(read, entry, answers)

    async def _write(self, call: Call[T]) -> T:
        try:
            result: T = await self._carry(call)
        except BaseException as error:
            await self.invalidate(_tags_of_failure(call, error))
            raise
        await self.invalidate(tags_of_write(call.changes, result))
        return result


def _tags_of_failure(call: Call[Any], error: BaseException) -> frozenset[str]:
    if isinstance(error, CallRefused) and not error.transient:
        # Nothing has changed, but the caller may have acted on something old.
        return tags_of_write(call.changes, None)
    return tags_of_unknown_outcome(call.changes)
