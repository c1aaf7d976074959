"""The plain supabase-py client, for what reelbase does not do: with the same key, and made when asked for."""

from typing import TYPE_CHECKING, Generic, Self, TypeAlias, TypeVar
from weakref import WeakValueDictionary

from reelbase.execution.identity import Identity
from reelbase.execution.lazy import Lazy

if TYPE_CHECKING:
    import httpx

    from reelbase.execution.isolated import AsyncIsolatedClient, IsolatedClient

T = TypeVar("T")

Plain: TypeAlias = tuple["httpx.Client", "IsolatedClient"]
"""With its connections, which are to be closed."""

AsyncPlain: TypeAlias = tuple["httpx.AsyncClient", "AsyncIsolatedClient"]


class Plains(Generic[T]):
    """The plain clients of a client and of its guests, which end with it."""

    def __init__(self, host: Self | None = None) -> None:
        self._host = host
        self._all: WeakValueDictionary[int, Lazy[T]] = WeakValueDictionary()

    def add(self, plain: Lazy[T]) -> Lazy[T]:
        self._all[id(plain)] = plain
        return plain if self._host is None else self._host.add(plain)

    def take(self) -> list[T]:
        """All that were made, to be closed."""
        # Copied in one step: threads may make guests meanwhile.
        plains = [reference() for reference in self._all.valuerefs()]
        return [made for plain in plains if plain is not None and (made := plain.take()) is not None]


# These libraries take a third of a second to import, and most programs need none of them.
def plain_client(url: str, identity: Identity, seconds: float) -> Lazy[Plain]:
    def make() -> Plain:
        from reelbase.execution.isolated import IsolatedClient  # noqa: PLC0415

        client = IsolatedClient(url, identity, seconds)
        return client.http, client

    return Lazy(make)


def plain_async_client(url: str, identity: Identity, seconds: float) -> Lazy[AsyncPlain]:
    def make() -> AsyncPlain:
        from reelbase.execution.isolated import AsyncIsolatedClient  # noqa: PLC0415

        client = AsyncIsolatedClient(url, identity, seconds)
        return client.http, client

    return Lazy(make)
