"""The plain supabase-py client, for what reelbase does not do: with the same key, and made when asked for."""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from reelbase.execution.forks import forks
from reelbase.execution.identity import Identity

if TYPE_CHECKING:
    import httpx

    from reelbase.execution.isolated import AsyncIsolatedClient, IsolatedClient

HttpT = TypeVar("HttpT")
ClientT = TypeVar("ClientT")


class Plain(Generic[HttpT, ClientT]):
    """Makes the client once in a process, and remembers its connections so that they can be closed."""

    def __init__(self, make: Callable[[], tuple[HttpT, ClientT]]) -> None:
        self._make = make
        self._made: tuple[HttpT, ClientT] | None = None
        self._lock = Lock()
        forks.register(self)

    @property
    def opened(self) -> bool:
        return self._made is not None

    def get(self) -> ClientT:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made[1]

    def take(self) -> HttpT | None:
        """Its connections, to be closed."""
        with self._lock:
            made, self._made = self._made, None
        return None if made is None else made[0]

    def leave_parent(self) -> object:
        made, self._made, self._lock = self._made, None, Lock()
        return made


# These libraries take a third of a second to import, and most programs need none of them.
def plain_client(url: str, identity: Identity, seconds: float) -> Plain["httpx.Client", "IsolatedClient"]:
    def make() -> tuple["httpx.Client", "IsolatedClient"]:
        from reelbase.execution.isolated import IsolatedClient  # noqa: PLC0415

        client = IsolatedClient(url, identity, seconds)
        return client.http, client

    return Plain(make)


def plain_async_client(
    url: str, identity: Identity, seconds: float
) -> Plain["httpx.AsyncClient", "AsyncIsolatedClient"]:
    def make() -> tuple["httpx.AsyncClient", "AsyncIsolatedClient"]:
        from reelbase.execution.isolated import AsyncIsolatedClient  # noqa: PLC0415

        client = AsyncIsolatedClient(url, identity, seconds)
        return client.http, client

    return Plain(make)
