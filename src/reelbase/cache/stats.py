"""How the cache does."""

from dataclasses import dataclass


@dataclass(slots=True)
class Counter:
    """Counts of one level; threads may count at once, and a count lost to that is no harm."""

    hits: int = 0
    misses: int = 0
    writes: int = 0
    written_bytes: int = 0
    failures: int = 0
    rejected: int = 0
    joined: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelStats:
    """One level since the cache was made. What a level does not know of itself is None.

    `entries` and `bytes` are what it holds now; of Redis, which others fill too, `bytes` is what this process
    has written. `failures` are times that the level did not answer, `rejected` values found there that were
    not ours, or no longer readable.
    """

    hits: int
    misses: int
    entries: int | None = None
    bytes: int
    evictions: int | None = None
    failures: int = 0
    rejected: int = 0

    @property
    def ratio(self) -> float:
        """Hits of all lookups, 0 to 1."""
        lookups = self.hits + self.misses
        return self.hits / lookups if lookups else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """The cache since it was made, of all clients that share it. `redis` is None without one.

    `joined` reads waited for the answer to one that was under way; they count as misses of the memory.
    `invalidations` are tags that were invalidated here.
    """

    memory: LevelStats
    redis: LevelStats | None
    joined: int
    invalidations: int
