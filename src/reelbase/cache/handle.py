"""What is `client.cache`: looking after the cache. Without one, everything here does nothing."""

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from reelbase.cache.bypass import bypass
from reelbase.cache.layer import AsyncCachedCarry, CachedCarry
from reelbase.cache.stats import CacheStats, LevelStats
from reelbase.cache.tags import ALL, tag_name
from reelbase.errors import CallRefused
from reelbase.execution.call import Call
from reelbase.services.jobs import Jobs

Tag = str | tuple[object, ...]
"""`"job:<id>"` or `("job", id)`; `"jobs"`, `"queue"`, `"statistics"` …: what `Call.reads` begins with."""

_AT_ONCE = 8
_NOTHING = CacheStats(
    memory=LevelStats(hits=0, misses=0, entries=0, bytes=0, evictions=0),
    redis=None,
    joined=0,
    invalidations=0,
)


class _Handle:
    def __init__(self, layer: CachedCarry | AsyncCachedCarry | None) -> None:
        self._any_layer = layer

    @property
    def enabled(self) -> bool:
        """Whether the client has a cache."""
        return self._any_layer is not None

    def stats(self) -> CacheStats:
        """Hits, misses and size of each level; of all clients that share the cache."""
        return _NOTHING if self._any_layer is None else self._any_layer.cache.stats()

    def bypass(self) -> AbstractContextManager[None]:
        """Read past the cache: `with client.cache.bypass(): …`. In the tasks begun inside, too."""
        return bypass()


class CacheHandle(_Handle):
    """`Reelbase.cache`."""

    def __init__(self, layer: CachedCarry | None) -> None:
        super().__init__(layer)
        self._layer = layer

    def warm(self, wanted: Iterable[UUID | Call[Any]]) -> int:
        """Read jobs, or what calls ask for, unless they are cached already; how many could be read.

        Those that the server refuses are left out. Raises what else a call raises.
        """
        if self._layer is None:
            return 0
        return sum(self._warmed(self._layer, call) for call in map(_call, wanted))

    def invalidate(self, *tags: Tag) -> None:
        """Forget everything that has one of these tags, in all processes that share the Redis."""
        if self._layer is not None:
            self._layer.invalidate(map(tag_name, tags))

    def clear(self) -> None:
        """Forget everything of this Supabase project, whoever read it."""
        if self._layer is not None:
            self._layer.cache.memory.clear()
            self._layer.invalidate([ALL])

    @staticmethod
    def _warmed(layer: CachedCarry, call: Call[Any]) -> bool:
        try:
            layer.carry(call)
        except CallRefused as error:
            if error.transient:
                raise
            return False
        return True


class AsyncCacheHandle(_Handle):
    """`AsyncReelbase.cache`."""

    def __init__(self, layer: AsyncCachedCarry | None) -> None:
        super().__init__(layer)
        self._layer = layer

    async def warm(self, wanted: Iterable[UUID | Call[Any]]) -> int:
        """Read jobs, or what calls ask for, unless they are cached already; how many could be read.

        Those that the server refuses are left out. Raises what else a call raises.
        """
        if self._layer is None:
            return 0
        room = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._warmed(self._layer, _call(each), room)) for each in wanted]
        return sum(task.result() for task in tasks)

    async def invalidate(self, *tags: Tag) -> None:
        """Forget everything that has one of these tags, in all processes that share the Redis."""
        if self._layer is not None:
            await self._layer.invalidate(map(tag_name, tags))

    async def clear(self) -> None:
        """Forget everything of this Supabase project, whoever read it."""
        if self._layer is not None:
            self._layer.cache.memory.clear()
            await self._layer.invalidate([ALL])

    @staticmethod
    async def _warmed(layer: AsyncCachedCarry, call: Call[Any], room: asyncio.Semaphore) -> bool:
        async with room:
            try:
                await layer.carry(call)
            except CallRefused as error:
                if error.transient:
                    raise
                return False
            return True


def _call(wanted: UUID | Call[Any]) -> Call[Any]:
    return wanted if isinstance(wanted, Call) else Jobs.get.build(None, wanted)
