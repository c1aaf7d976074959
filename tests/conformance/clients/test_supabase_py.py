"""supabase-py in both modes. The sync client has no realtime: an async one listens to what it does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from postgrest import APIError
from supabase import (
    AsyncClient,
    AsyncClientOptions,
    AuthApiError,
    Client,
    ClientOptions,
    acreate_client,
    create_client,
)

from conformance.clients.access import Access
from support import done

_DEADLINE_S = 10
_PASSWORD = "correct horse"

Connect = Callable[[], Awaitable[Any]]


@pytest.fixture
async def connect_async(access: Access) -> AsyncIterator[Callable[[], Awaitable[AsyncClient]]]:
    async with AsyncExitStack() as sessions:

        async def connect() -> AsyncClient:
            http = await sessions.enter_async_context(httpx.AsyncClient())
            options = AsyncClientOptions(auto_refresh_token=False, httpx_client=http)
            client = await acreate_client(access.url, access.key, options)
            sessions.push_async_callback(client.realtime.close)
            return client

        yield connect


@pytest.fixture(params=["sync", "async"])
async def connect(
    request: pytest.FixtureRequest, access: Access, connect_async: Callable[[], Awaitable[AsyncClient]]
) -> AsyncIterator[Connect]:
    """A client once in each mode; results go through `done`."""
    with httpx.Client() as http:

        async def connect_sync() -> Client:
            options = ClientOptions(auto_refresh_token=False, httpx_client=http)
            return create_client(access.url, access.key, options)

        yield connect_async if request.param == "async" else connect_sync


@pytest.fixture
async def alice(connect: Connect) -> Any:
    """Signed in, with three notes."""
    client = await _member(connect)
    notes = [
        {"body": "first", "stars": 1, "tags": ["a"]},
        {"body": "second", "stars": 2, "tags": ["a", "b"]},
        {"body": "third", "stars": 3, "tags": []},
    ]
    inserted = await done(client.table("notes").insert(notes).execute())
    assert [row["stars"] for row in inserted.data] == [1, 2, 3]
    return client


async def test_sign_in(connect: Connect) -> None:
    client, credentials = await connect(), _credentials()
    await done(client.auth.sign_up(credentials))
    await done(client.auth.sign_out())
    assert await done(client.auth.get_session()) is None

    with pytest.raises(AuthApiError) as refusal:
        await done(client.auth.sign_in_with_password({**credentials, "password": "wrong"}))
    signed_in = await done(client.auth.sign_in_with_password(credentials))
    user = (await done(client.auth.get_user())).user
    refreshed = await done(client.auth.refresh_session())

    assert refusal.value.code == "invalid_credentials"
    assert user.email == signed_in.user.email == refreshed.user.email == credentials["email"]


async def test_select_with_filters(alice: Any) -> None:
    async def bodies(query: Any) -> list[str]:
        return [row["body"] for row in (await done(query.order("id").execute())).data]

    def notes() -> Any:
        return alice.table("notes").select("body")

    assert await bodies(notes()) == ["first", "second", "third"]
    assert await bodies(notes().in_("body", ["first", "third"])) == ["first", "third"]
    assert await bodies(notes().contains("tags", ["b"])) == ["second"]
    assert await bodies(notes().or_("body.ilike.FIR%,and(stars.gt.2,stars.lt.4)")) == ["first", "third"]
    assert (await done(notes().eq("stars", 2).single().execute())).data == {"body": "second"}
    counted = alice.table("notes").select("body", count="exact").gte("stars", 2)
    found = await done(counted.order("stars", desc=True).range(0, 0).execute())
    assert (found.data, found.count) == ([{"body": "third"}], 2)


async def test_update_and_delete(alice: Any) -> None:
    changed = await done(alice.table("notes").update({"stars": 4}).eq("body", "third").execute())
    deleted = await done(alice.table("notes").delete(count="exact").eq("body", "second").execute())

    assert [row["stars"] for row in changed.data] == [4]
    assert deleted.count == 1


async def test_rpc(alice: Any) -> None:
    assert (await done(alice.rpc("total_stars", {}).execute())).data == 6
    assert (await done(alice.rpc("total_stars", {"at_least": 2}).execute())).data == 5
    assert (await done(alice.rpc("total_stars", {"at_least": 2}, get=True).execute())).data == 5


@pytest.mark.usefixtures("alice")
async def test_rows_of_others_are_not_seen(connect: Connect) -> None:
    stranger = await _member(connect)

    assert (await done(stranger.table("notes").select().execute())).data == []
    assert (await done(stranger.rpc("total_stars", {}).execute())).data == 0


@pytest.mark.parametrize(
    ("note", "code"),
    [({"body": "bad", "stars": -1}, "23514"), ({"body": "hers", "owner": str(uuid4())}, "42501")],
)
async def test_refusals_have_the_code_of_their_cause(alice: Any, note: dict[str, Any], code: str) -> None:
    with pytest.raises(APIError) as refusal:
        await done(alice.table("notes").insert(note).execute())

    assert refusal.value.code == code


async def test_postgres_changes(alice: Any, connect_async: Callable[[], Awaitable[AsyncClient]]) -> None:
    listener = await connect_async()
    changes, confirmed = asyncio.Queue[Any](), asyncio.Queue[Any]()
    await _take_over(listener, alice)
    channel = listener.channel("notes")
    channel.on_postgres_changes("*", changes.put_nowait, table="notes")
    await channel.on_system(confirmed.put_nowait).subscribe()
    assert (await _next(confirmed)).message == "Subscribed to PostgreSQL"

    row = (await done(alice.table("notes").insert({"body": "live", "stars": 7}).execute())).data[0]
    inserted = (await _next(changes))["data"]
    await done(alice.table("notes").update({"stars": 8}).eq("id", row["id"]).execute())
    updated = (await _next(changes))["data"]
    await done(alice.table("notes").delete().eq("id", row["id"]).execute())
    deleted = (await _next(changes))["data"]

    assert (inserted["type"], inserted["record"]) == ("INSERT", row)
    assert (updated["type"], updated["record"]["stars"]) == ("UPDATE", 8)
    assert (deleted["type"], deleted["old_record"]) == ("DELETE", {"id": row["id"]})


async def test_broadcast(connect_async: Callable[[], Awaitable[AsyncClient]]) -> None:
    topic, heard = str(uuid4()), asyncio.Queue[Any]()
    await (await connect_async()).channel(topic).on_broadcast("hi", heard.put_nowait).subscribe()
    speaker = (await connect_async()).channel(topic)
    await speaker.subscribe()

    await speaker.send_broadcast("hi", {"n": 1})
    assert (await _next(heard))["payload"] == {"n": 1}
    await speaker.http_send("hi", {"n": 2})
    assert (await _next(heard))["payload"] == {"n": 2}


async def test_private_broadcast(connect_async: Callable[[], Awaitable[AsyncClient]]) -> None:
    alice, bob = [await _member(connect_async) for _ in range(2)]
    topic, heard = (await alice.auth.get_user()).user.id, asyncio.Queue[Any]()
    states = asyncio.Queue[Any]()
    config: Any = {"config": {"private": True, "broadcast": {"ack": False, "self": True}}}
    own = alice.channel(topic, config).on_broadcast("hi", heard.put_nowait)
    await own.subscribe()

    await own.send_broadcast("hi", {"n": 3})
    await bob.channel(topic, config).subscribe(lambda state, _: states.put_nowait(state))

    assert (await _next(heard))["payload"] == {"n": 3}
    assert await _next(states) == "CHANNEL_ERROR"


async def test_presence(connect_async: Callable[[], Awaitable[AsyncClient]]) -> None:
    topic, joins, leaves = str(uuid4()), asyncio.Queue[Any](), asyncio.Queue[Any]()
    watcher = (await connect_async()).channel(topic)
    watcher.on_presence_join(lambda key, _, new: joins.put_nowait((key, new)))
    watcher.on_presence_leave(lambda key, *_: leaves.put_nowait(key))
    await watcher.subscribe()
    config: Any = {"config": {"presence": {"key": "bob", "enabled": True}}}
    guest = (await connect_async()).channel(topic, config)
    await guest.subscribe()

    await guest.track({"mood": "calm"})
    key, (presence,) = await _next(joins)
    assert (key, presence["mood"]) == ("bob", "calm")
    assert list(watcher.presence_state()) == ["bob"]
    await guest.untrack()
    assert await _next(leaves) == "bob"
    assert not watcher.presence_state()


def _credentials() -> dict[str, str]:
    return {"email": f"{uuid4()}@example.com", "password": _PASSWORD}


async def _member(connect: Connect) -> Any:
    client = await connect()
    await done(client.auth.sign_up(_credentials()))
    return client


async def _take_over(client: AsyncClient, other: Any) -> None:
    """Sign in as the other client's user."""
    session = await done(other.auth.get_session())
    await client.auth.set_session(session.access_token, session.refresh_token)


async def _next(queue: asyncio.Queue[Any]) -> Any:
    async with asyncio.timeout(_DEADLINE_S):
        return await queue.get()
