"""Something that is opened when it is first needed, once in a process, and closed once."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from reelbase.execution.forks import forks
from reelbase.execution.transport import closed_before

T = TypeVar("T")


class Lazy(Generic[T]):
    """What `make` makes. Threads may share it; a forked child gets another one."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._lock = Lock()
        self._closed = False
        forks.register(self)

    @property
    def opened(self) -> bool:
        """Whether there is something to close."""
        return self._made is not None

    @property
    def closed(self) -> bool:
        return self._closed

    def get(self) -> T:
        """Raises ClientClosed."""
        if self._made is not None:
            return self._made
        with self._lock:
            if self._closed:
                raise closed_before()
            if self._made is None:
                self._made = self._make()
            return self._made

    def take(self) -> T | None:
        """What was made, to be closed; from now on there is none."""
        with self._lock:
            self._closed = True
            made, self._made = self._made, None
        return made

    def leave_parent(self) -> object:
        made, self._made, self._lock = self._made, None, Lock()
        return made
