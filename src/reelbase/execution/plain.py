"""The plain supabase-py client, for what reelbase does not do: with the same key, and made when asked for."""

from typing import TYPE_CHECKING

from reelbase.execution.identity import Identity
from reelbase.execution.lazy import Lazy

if TYPE_CHECKING:
    import httpx

    from reelbase.execution.isolated import AsyncIsolatedClient, IsolatedClient


# These libraries take a third of a second to import, and most programs need none of them.
def plain_client(
    url: str, identity: Identity, seconds: float
) -> Lazy[tuple["httpx.Client", "IsolatedClient"]]:
    def make() -> tuple["httpx.Client", "IsolatedClient"]:
        from reelbase.execution.isolated import IsolatedClient  # noqa: PLC0415

        client = IsolatedClient(url, identity, seconds)
        return client.http, client

    return Lazy(make)


def plain_async_client(
    url: str, identity: Identity, seconds: float
) -> Lazy[tuple["httpx.AsyncClient", "AsyncIsolatedClient"]]:
    def make() -> tuple["httpx.AsyncClient", "AsyncIsolatedClient"]:
        from reelbase.execution.isolated import AsyncIsolatedClient  # noqa: PLC0415

        client = AsyncIsolatedClient(url, identity, seconds)
        return client.http, client

    return Lazy(make)
