"""The first level: results in the memory of this process, for all its threads and event loops."""

import itertools
import threading
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from cachetools import TLRUCache

from reelbase.cache.forking import survives_fork
from reelbase.cache.values import size

_MOST_TAGS = 10_000


@dataclass(slots=True)
class Entry:
    """A result. `born` is the moment (of `Memory.moment`) before it was read, `expires` of `time.monotonic`.

    `generations` are those of its tags in Redis, last looked at when `checked` says; None when Redis did not
    take part.
    """

    value: Any
    tags: tuple[str, ...]
    born: int
    expires: float
    generations: tuple[bytes, ...] | None = None
    checked: float = 0.0
    size: int = 0


class _Counting(TLRUCache[Hashable, Entry]):
    """Counts what had to go before its time."""

    evictions = 0

    def popitem(self) -> tuple[Hashable, Entry]:
        self.evictions += 1
        return super().popitem()


class Memory:
    """A bounded number of entries and bytes; what was used longest ago goes first.

    Invalidating takes no search: a tag remembers when it was invalidated last, and whatever was born before
    is void, also what is being read just then.
    """

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._max_bytes = max_bytes
        self._entries = self._empty()
        self._moments = itertools.count(1)
        self._invalidated: dict[str, int] = {}
        self._all_invalidated = 0
        self.invalidations = 0
        survives_fork(self)

    def after_fork(self) -> None:
        # What a thread of the parent was just changing may be half done.
        self._lock = threading.Lock()
        self._void_everything()
        self._entries = self._empty()

    def moment(self) -> int:
        """Now, as entries are born: take it before reading."""
        return next(self._moments)

    def holds(self, tags: Iterable[str], born: int) -> bool:
        """Whether what was read then still holds now."""
        last = self._all_invalidated
        at = self._invalidated.get
        return born > last and all(at(tag, last) < born for tag in tags)

    def get(self, key: Hashable) -> Entry | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if not self.holds(entry.tags, entry.born):
                self._entries.pop(key, None)
                return None
            return entry

    def put(self, key: Hashable, entry: Entry) -> None:
        entry.size = size(entry.value)
        with self._lock:
            if entry.size > self._entries.maxsize or not self.holds(entry.tags, entry.born):
                return
            self._entries.expire()
            while len(self._entries) >= self._max_entries and key not in self._entries:
                self._entries.popitem()
            self._entries[key] = entry

    def forget(self, key: Hashable) -> None:
        with self._lock:
            self._entries.pop(key, None)

    def invalidate(self, tags: Iterable[str]) -> None:
        with self._lock:
            if len(self._invalidated) > _MOST_TAGS:
                # Rather forget everything once than remember every tag for ever.
                self._void_everything()
            moment = next(self._moments)
            for tag in tags:
                self._invalidated[tag] = moment
                self.invalidations += 1

    def clear(self) -> None:
        with self._lock:
            self._void_everything()
            self._entries.clear()

    def _empty(self) -> _Counting:
        return _Counting(self._max_bytes, _expiry, timer=time.monotonic, getsizeof=_size)

    def _void_everything(self) -> None:
        self._all_invalidated = next(self._moments)
        self._invalidated.clear()

    def measure(self) -> tuple[int, int, int]:
        """Entries, bytes, evictions."""
        with self._lock:
            self._entries.expire()
            return len(self._entries), int(self._entries.currsize), self._entries.evictions


def _expiry(_key: Hashable, entry: Entry, _now: float) -> float:
    return entry.expires


def _size(entry: Entry) -> int:
    return entry.size
