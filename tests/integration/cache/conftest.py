"""Clients with a cache, in each mode."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from reelbase import AsyncReelbase, Cache, Reelbase
from reelbase.execution.call import Call
from support import AnyClient, Target, done

Connect = Callable[..., AnyClient]


class Counted:
    """The calls that a client really carried."""

    def __init__(self, client: AnyClient) -> None:
        self.calls: list[Call[Any]] = []
        self._carry = client._cached._carry
        client._cached._carry = self._counting

    def _counting(self, call: Call[Any]) -> Any:
        self.calls.append(call)
        return self._carry(call)

    def __call__(self, function: str) -> int:
        return sum(call.function == function for call in self.calls)


@pytest.fixture
def counted() -> Callable[[AnyClient], Counted]:
    return Counted


@pytest.fixture(params=["sync", "async"])
async def connect(request: pytest.FixtureRequest, target: Target) -> AsyncIterator[Connect]:
    """Makes clients with a cache: a backend's, unless a key and a token say whose."""
    clients: list[AnyClient] = []
    kind = AsyncReelbase if request.param == "async" else Reelbase

    def make(
        cache: Cache, key: str | None = None, access_token: str | None = None, *, url: str = target.url
    ) -> AnyClient:
        client = kind(url, key or target.service_role_key, access_token=access_token, cache=cache)
        clients.append(client)
        return client

    yield make
    for client in clients:
        await done(client.aclose() if isinstance(client, AsyncReelbase) else client.close())
