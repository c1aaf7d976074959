"""The pool of database connections, where the client has one."""

import weakref
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from reelbase.errors import ConfigurationError


class PoolNumbers(Protocol):
    """How many connections there may be, are, and lie idle; how many callers wait for one."""

    @property
    def max_size(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def idle(self) -> int: ...
    @property
    def waiting(self) -> int: ...


@runtime_checkable
class Pooled(Protocol):
    """A client that can tell; it raises ConfigurationError when it has no address to connect to."""

    def pool_stats(self) -> PoolNumbers: ...


PoolOf = Callable[[], PoolNumbers | None]


def pool_of(client: Any) -> PoolOf:
    """Asks the client for its pool's numbers, None without a pool. Does not keep the client alive."""
    reference = weakref.ref(client)

    def numbers() -> PoolNumbers | None:
        client = reference()
        if not isinstance(client, Pooled):
            return None
        try:
            return client.pool_stats()
        except ConfigurationError:
            return None

    return numbers
