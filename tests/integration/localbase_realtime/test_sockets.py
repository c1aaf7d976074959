"""What a client sees of the protocol itself."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from localbase.pytest_plugin import LocalStack

OpenWire = Callable[..., Awaitable[Any]]
BINDING = {"event": "*", "schema": "public", "table": "notes"}
ROOM = "realtime:room"


async def test_heartbeat(open_wire: OpenWire) -> None:
    wire = await open_wire()

    await wire.send(None, "1", "phoenix", "heartbeat", {})

    assert await wire.receive() == ("phx_reply", {"status": "ok", "response": {}})


@pytest.mark.parametrize("apikey", ["", "garbage"])
async def test_bad_key__handshake_refused(open_wire: OpenWire, apikey: str) -> None:
    with pytest.raises(WSServerHandshakeError) as refusal:
        await open_wire(apikey)

    assert refusal.value.status == 401


async def test_opaque_keys_count_as_their_roles(open_wire: OpenWire, localbase: LocalStack) -> None:
    for key in (localbase.publishable_key, localbase.secret_key):
        wire = await open_wire(key)

        assert (await wire.join(ROOM))[1]["status"] == "ok"


async def test_bad_token__join_refused_and_socket_usable(open_wire: OpenWire) -> None:
    wire = await open_wire()

    _, answer = await wire.join(ROOM, access_token="garbage")
    assert answer["response"] == {"reason": "MalformedJWT: The token provided is not a valid JWT"}

    assert (await wire.join(ROOM))[1]["status"] == "ok"


@pytest.mark.usefixtures("database")
async def test_expiry__closes_the_channel(open_wire: OpenWire, token: Callable[..., str]) -> None:
    wire = await open_wire()

    await wire.join(ROOM, {"postgres_changes": [BINDING]}, access_token=token(expires=1.5))
    events = [await wire.receive() for _ in range(3)]

    assert [event for event, _ in events] == ["system", "system", "phx_close"]
    assert events[0][1]["message"] == "Subscribed to PostgreSQL"
    assert events[1][1]["message"].startswith("Token has expired")


@pytest.mark.usefixtures("database")
async def test_bad_parameters__are_told_after_the_join(open_wire: OpenWire, localbase: LocalStack) -> None:
    wire = await open_wire(localbase.service_role_key)

    await wire.join(ROOM, {"postgres_changes": [BINDING | {"filter": "id=eq.x"}]})

    _, told = await wire.receive()
    assert told["status"] == "error"
    assert told["message"].endswith(
        'ERROR 22P02 (invalid_text_representation) invalid input syntax for type integer: "x"'
    )


async def test_private_channel__by_policy(
    open_wire: OpenWire, token: Callable[..., str], database: psycopg.AsyncConnection
) -> None:
    await database.execute(
        "create policy members on realtime.messages for select to authenticated"
        " using (realtime.topic() = 'room')"
    )
    wire = await open_wire()

    _, anonymous = await wire.join(ROOM, {"private": True})
    assert anonymous["response"]["reason"].startswith("Unauthorized: ")
    _, elsewhere = await wire.join("realtime:other", {"private": True}, access_token=token())
    assert elsewhere["response"]["reason"].startswith("Unauthorized: ")
    assert (await wire.join(ROOM, {"private": True}, access_token=token()))[1]["status"] == "ok"

    await database.execute("select realtime.send('{\"n\": 1}', 'event', 'room')")
    frame = await wire.socket.receive_bytes(timeout=15)
    assert b"realtime:roomevent" in frame


async def test_slow_reader__is_cut_off_and_others_are_not(open_wire: OpenWire) -> None:
    slow, reader, sender = [await open_wire() for _ in range(3)]
    for wire in (slow, reader, sender):
        await wire.join(ROOM)
    payload = {"event": "x", "payload": {"text": "x" * 2_000_000}}

    for _ in range(20):
        await sender.send("1", "2", ROOM, "broadcast", payload)
        assert (await reader.receive())[0] == "broadcast"

    received = 0
    async with asyncio.timeout(15):
        while (await slow.socket.receive()).type is WSMsgType.TEXT:
            received += 1
    assert received < 20
