"""What the client makes of a server that is away, slow or talks nonsense."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from proxy import Proxy
from reelbase import (
    AsyncReelbase,
    CallRefused,
    CallTimeout,
    ConnectionFailed,
    InvalidArgument,
    Job,
    Reelbase,
    ServerFault,
    UnexpectedAnswer,
)
from reelbase.execution.call import Call
from support import Target

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A web server of our own that answers as it likes."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_refused_connection__says_so_and_what_to_check() -> None:
    async with AsyncReelbase(f"http://127.0.0.1:{unused_port()}", "key") as client:
        with pytest.raises(ConnectionFailed, match="Check SUPABASE_URL") as caught:
            await client.jobs.create("mp4", 64, 64)

    assert (caught.value.function, caught.value.retries) == ("create_job", 0)
    assert caught.value.arguments == {"output_format": "mp4", "width": 64, "height": 64}
    assert caught.value.__cause__ is not None


def test_refused_connection__is_the_same_for_synchronous_code() -> None:
    client = Reelbase(f"http://127.0.0.1:{unused_port()}", "key")
    with client, pytest.raises(ConnectionFailed, match="Check SUPABASE_URL"):
        client.jobs.create("mp4", 64, 64)


async def test_slow_server__times_out() -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(never) as url, AsyncReelbase(url, "key", timeout=0.2) as client:
        with pytest.raises(CallTimeout, match="did not answer in time"):
            await client.jobs.create("mp4", 64, 64)


async def test_reads__are_repeated_until_the_server_is_back() -> None:
    answers = iter([503, 502, 200])

    async def recovering(_request: web.Request) -> web.StreamResponse:
        status = next(answers)
        return web.json_response({"items": [], "next_cursor": None} if status == 200 else None, status=status)

    async with serving(recovering) as url, AsyncReelbase(url, "key") as client:
        assert (await client.jobs.list()).items == ()


async def test_writes__are_not_repeated() -> None:
    calls = []

    async def failing(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        return web.Response(status=503, text="<html>busy</html>")

    async with serving(failing) as url, AsyncReelbase(url, "key") as client:
        with pytest.raises(ServerFault) as caught:
            await client.jobs.create("mp4", 64, 64)

    assert calls == ["/rest/v1/rpc/create_job"]
    assert (caught.value.status, caught.value.transient, caught.value.retries) == (503, True, 0)


async def test_writes__with_an_idempotency_key_are_repeated() -> None:
    keys = []

    async def failing(request: web.Request) -> web.StreamResponse:
        keys.append((await request.json())["idempotency_key"])
        return web.Response(status=503)

    async with serving(failing) as url, AsyncReelbase(url, "key") as client:
        with pytest.raises(ServerFault) as caught:
            await client.jobs.create("mp4", 64, 64, idempotency_key="one")

    assert (keys, caught.value.retries) == (["one"] * 8, 7)


async def test_repeats__are_bounded_and_counted() -> None:
    async def failing(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "Overload."}, status=503)

    async with serving(failing) as url, AsyncReelbase(url, "key") as client:
        with pytest.raises(ServerFault, match=r"Overload\.") as caught:
            await client.jobs.list()

    assert caught.value.retries == 7


GARBAGE = [b"<html>hello</html>", b"[1, 2]", b'{"items": 3}', b"", b"1" * 5000, b"[" * 100_000, b'"\xff"']


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:12]))
async def test_garbage__is_an_unexpected_answer(body: bytes) -> None:
    async def garbage(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async with serving(garbage) as url, AsyncReelbase(url, "key") as client:
        with pytest.raises(UnexpectedAnswer):
            await client.jobs.list()


@pytest.mark.parametrize("value", [float("nan"), "\ud800"])
async def test_argument_that_is_no_json__is_an_invalid_argument(target: Target, value: object) -> None:
    async with target.service() as client:
        with pytest.raises(InvalidArgument, match="cannot be sent as JSON"):
            await client.jobs.create("mp4", 64, 64, metadata={"value": value})


def test_argument_of_a_kind_that_is_no_json__is_an_invalid_argument_too(target: Target) -> None:
    with (
        Reelbase(target.url, target.anon_key) as client,
        pytest.raises(InvalidArgument, match="cannot be sent as JSON"),
    ):
        client.jobs.create("mp4", 64, 64, metadata={"value": object()})


@pytest.mark.local_stack
async def test_reset_while_reading__is_survived(own_target: Target) -> None:
    async with (
        Proxy(own_target.url) as proxy,
        AsyncReelbase(proxy.url, own_target.service_role_key) as client,
    ):
        await client.jobs.list()
        proxy.reset()

        assert (await client.jobs.list()).items == ()
        assert proxy.connections == 2


async def test_unknown_function__says_so(target: Target) -> None:
    async with target.service() as client:
        with pytest.raises(CallRefused, match="no_such_function") as caught:
            await client._executor.run(Call("no_such_function", {"job_id": 1}, Job))

    assert (caught.value.sqlstate, caught.value.status) == ("PGRST202", 404)


async def test_keys__do_not_show_in_errors(target: Target) -> None:
    async with AsyncReelbase(f"http://127.0.0.1:{unused_port()}", target.service_role_key) as client:
        with pytest.raises(ConnectionFailed) as caught:
            await client.jobs.create("mp4", 64, 64)

    assert target.service_role_key not in f"{caught.value!r} {vars(caught.value)} {caught.value.__cause__!r}"
