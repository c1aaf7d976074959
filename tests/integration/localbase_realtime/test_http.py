"""Broadcasts over HTTP, on the server's own routes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession

from localbase.pytest_plugin import LocalStack

ROOM = "realtime:room"
API = "/realtime/v1/api/broadcast"
Post = Callable[..., Awaitable[ClientResponse]]


@pytest.fixture
async def url(localbase: LocalStack, serve: Callable[[str], Awaitable[str]]) -> str:
    return await serve(localbase.admin_db_url)


@pytest.fixture
async def post(url: str, localbase: LocalStack) -> AsyncIterator[Post]:
    """Posts with the anonymous key, or with the one given."""
    async with ClientSession(url) as session:

        async def send(path: str, apikey: str = localbase.anon_key, **request: Any) -> ClientResponse:
            return await session.post(path, headers={"apikey": apikey}, **request)

        yield send


async def test_batch(url: str, post: Post, open_wire: Callable[..., Awaitable[Any]]) -> None:
    wire = await open_wire(base=url)
    await wire.join(ROOM)
    messages = [{"topic": "room", "event": event, "payload": {"a": 1}} for event in ("one", "two")]

    response = await post(API, json={"messages": messages})

    assert response.status == 202
    for event in ("one", "two"):
        assert await wire.receive() == (
            "broadcast",
            {"type": "broadcast", "event": event, "payload": {"a": 1}},
        )


async def test_single(url: str, post: Post, open_wire: Callable[..., Awaitable[Any]]) -> None:
    wire = await open_wire(base=url)
    await wire.join(ROOM)

    response = await post(f"{API}/room/events/ev", json={"a": 1})

    assert response.status == 202
    assert await wire.socket.receive_bytes(timeout=15) == b'\x04\x0d\x02\x00\x01realtime:roomev{"a":1}'


@pytest.mark.parametrize("apikey", ["", "garbage"])
async def test_bad_key(post: Post, apikey: str) -> None:
    assert (await post(API, apikey, json={"messages": []})).status == 401


async def test_wrong_message(post: Post) -> None:
    response = await post(API, json={"messages": [{"topic": "room", "payload": {}}]})

    assert response.status == 422
    assert await response.json() == {"errors": {"messages": [{"event": ["can't be blank"]}]}}


async def test_private__without_permission(post: Post) -> None:
    message = {"topic": "room", "event": "e", "payload": {}, "private": True}

    assert (await post(API, json={"messages": [message]})).status == 202
    assert (await post(f"{API}/room/events/ev?private=true", json={})).status == 403
