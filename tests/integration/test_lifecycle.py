"""Clients begin and end: loops, forks, threads, and what they leave behind."""

import asyncio
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
import tracemalloc
import warnings
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psutil
import pytest
from aiohttp import web

from proxy import serving
from redis_fixtures import RedisServer
from reelbase import AsyncReelbase, Cache, ClientClosed, ConfigurationError, Reelbase, WrongLoop
from support import Target, done, eventually

FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
forking = pytest.mark.skipif(FORK is None, reason="there is no fork here")


def connections(url: str) -> int:
    """How many this process has to the server there."""
    port = urlsplit(url).port
    return sum(bool(one.raddr) and one.raddr.port == port for one in psutil.Process().net_connections("tcp"))


def client_threads() -> int:
    """Python's, without the stack's own and the event loop's, which look up addresses."""
    others = ("localbase", "asyncio_")
    return sum(not thread.name.startswith(others) for thread in threading.enumerate())


def native_threads() -> int:
    """All that Python does not know of: the transport's, and those of other libraries."""
    return int(psutil.Process().num_threads()) - threading.active_count()


async def test_aclose__leaves_no_task_socket_or_thread(own_target: Target) -> None:
    async def use() -> None:
        async with AsyncReelbase(own_target.url, own_target.service_role_key) as client:
            job = await client.jobs.create("mp4", 64, 64)
            await asyncio.gather(*(client.jobs.get(job.id) for _ in range(5)))
            events = client.jobs.watch(job.id)
            assert (await anext(events)).job_id == job.id

    await use()  # what begins once in a process has begun
    before, native_before = (asyncio.all_tasks(), client_threads()), native_threads()
    for _ in range(3):
        await use()

    def left() -> None:
        assert (asyncio.all_tasks(), client_threads()) == before
        assert native_threads() <= native_before
        assert connections(own_target.url) == 0

    await eventually(left)


async def test_close__leaves_no_socket_or_thread(own_target: Target) -> None:
    def use() -> None:
        with Reelbase(own_target.url, own_target.service_role_key) as client:
            job = client.jobs.create("mp4", 64, 64)
            assert next(client.jobs.watch(job.id)).job_id == job.id

    use()
    before, native_before = client_threads(), native_threads()
    for _ in range(3):
        use()

    def left() -> None:
        assert client_threads() == before
        assert native_threads() <= native_before
        assert connections(own_target.url) == 0

    await eventually(left)


async def test_cancelled_call__lets_go_of_its_connection() -> None:
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        arrived.set()
        await reader.read()
        gone.set()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with AsyncReelbase(f"http://127.0.0.1:{port}", "key", timeout=100) as client:
            call = asyncio.ensure_future(client.jobs.list())
            await arrived.wait()
            call.cancel()
            await asyncio.wait({call})

            assert call.cancelled()
            await gone.wait()


async def test_after_close__calls_and_streams_say_so(target: Target) -> None:
    client = target.service()
    job = await client.jobs.create("mp4", 64, 64)
    await client.aclose()
    await client.aclose()

    with pytest.raises(ClientClosed, match="Make another one"):
        await client.jobs.get(job.id)
    with pytest.raises(ClientClosed):
        await anext(client.jobs.watch(job.id))
    with pytest.raises(ClientClosed):
        _ = client.supabase


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_after_close__reads_that_were_cached_say_so(target: Target, mode: str) -> None:
    factory: Any = {"sync": Reelbase, "async": AsyncReelbase}[mode]
    client = factory(target.url, target.service_role_key, cache=Cache())
    guest = client.as_user(target.token(sub=str(uuid4())))
    job = await done(guest.jobs.create("mp4", 64, 64))
    for reader in (client, guest):
        await done(reader.jobs.get(job.id))
    await done(client.close() if mode == "sync" else client.aclose())

    for reader in (client, guest):
        with pytest.raises(ClientClosed, match="Make another one"):
            await done(reader.jobs.get(job.id))


def test_after_close__synchronous_calls_and_streams_say_so(target: Target) -> None:
    client = Reelbase(target.url, target.service_role_key)
    job = client.jobs.create("mp4", 64, 64)
    client.close()
    client.close()

    with pytest.raises(ClientClosed, match="Make another one"):
        client.jobs.get(job.id)
    with pytest.raises(ClientClosed):
        next(client.jobs.watch(job.id))


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_close__during_a_call_ends_it(mode: str) -> None:
    arrived = asyncio.Event()

    async def never(_request: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    async with serving(never) as url:
        if mode == "async":
            client = AsyncReelbase(url, "key", timeout=100)
            call: asyncio.Future[Any] = asyncio.ensure_future(client.jobs.list())
            await arrived.wait()
            await client.aclose()
        else:
            synchronous = Reelbase(url, "key", timeout=100)
            call = asyncio.ensure_future(asyncio.to_thread(synchronous.jobs.list))
            await arrived.wait()
            synchronous.close()

        with pytest.raises(ClientClosed, match="during the call"):
            await call


async def test_another_loop__is_refused_clearly(target: Target) -> None:
    async with AsyncReelbase(target.url, target.service_role_key, cache=Cache()) as client:
        job = await client.jobs.create("mp4", 64, 64)
        await client.jobs.get(job.id)

        async def call() -> None:
            await client.security.user_role()

        async def call_that_is_cached() -> None:
            await client.jobs.get(job.id)

        async def watch() -> None:
            await anext(client.jobs.watch(job.id))

        async def plain() -> None:
            await client.supabase.rpc("user_role").execute()

        async def close() -> None:
            await client.aclose()

        for use in (call, call_that_is_cached, watch, client.cache.clear, plain, close):
            with pytest.raises(WrongLoop, match="Make one in each loop"):
                await asyncio.to_thread(asyncio.run, use())
        await client.queue.state()


def test_client_of_a_loop_that_has_ended__can_be_closed(target: Target, redis_server: RedisServer) -> None:
    def close_in_another_loop() -> None:
        client = AsyncReelbase(
            target.url,
            target.service_role_key,
            cache=Cache(redis=redis_server.url),
            database_url=target.db_url,
        )
        asyncio.run(use_in_all_ways(client))
        for _ in range(2):
            asyncio.run(closing(client))
        with pytest.raises(ClientClosed):
            _ = client.supabase

    with warnings.catch_warnings():
        # Sockets that nobody can close any more end with the collector, which says so.
        warnings.simplefilter("ignore", ResourceWarning)
        close_in_another_loop()
        gc.collect()


async def use_in_all_ways(client: AsyncReelbase) -> None:
    job = await client.jobs.create("mp4", 64, 64)
    await client.jobs.get(job.id)
    async with client.transaction() as tx:
        await tx.jobs.get(job.id)
    await client.supabase.rpc("user_role").execute()
    await anext(client.jobs.watch(job.id))
    client.subscriptions.subscribe_to_job(job.id, print)


async def closing(client: AsyncReelbase) -> None:
    await client.aclose()


def test_threads__share_a_synchronous_client(target: Target) -> None:
    found: list[object] = []
    with Reelbase(target.url, target.service_role_key) as client:
        job = client.jobs.create("mp4", 64, 64)

        def get() -> None:
            found.extend(client.jobs.get(job.id).id for _ in range(5))

        threads = [threading.Thread(target=get) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == [job.id] * 40


def in_child(work: Callable[[], object]) -> object:
    """What the work returns, or the name of what it raises, in a forked process."""
    assert FORK is not None
    answers: SimpleQueue[object] = FORK.SimpleQueue()

    def run() -> None:
        try:
            answers.put(work())
        except BaseException as error:  # noqa: BLE001  # told to the parent
            answers.put(f"{type(error).__name__}: {error}")

    process = FORK.Process(target=run)
    with warnings.catch_warnings():
        # Python 3.12 and later warn of forks in processes with threads; that is what is tried here.
        warnings.simplefilter("ignore", DeprecationWarning)
        process.start()
    process.join(30)
    if process.is_alive():
        process.kill()
        return "hangs"
    return answers.get()


@forking
def test_fork__leaves_subscriptions_to_the_parent(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key) as client:
        subscription_id = client.subscriptions.subscribe_to_all_jobs(print)

        assert in_child(lambda: client.subscriptions.active_subscriptions) == []
        assert in_child(client.subscriptions.unsubscribe_all) == 0

        assert client.subscriptions.unsubscribe(subscription_id)


@forking
def test_fork__gives_the_child_connections_of_its_own(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key) as client:
        job = client.jobs.create("mp4", 64, 64)

        def inherited() -> object:
            return client.jobs.get(job.id).id

        def new() -> object:
            with Reelbase(target.url, target.service_role_key) as another:
                return another.jobs.get(job.id).id

        def closed() -> object:
            client.close()
            return "closed"

        def plain() -> object:
            return client.supabase.rpc("user_role").execute().data

        def watching() -> object:
            return next(client.jobs.watch(job.id)).job_id

        assert in_child(inherited) == job.id
        assert in_child(new) == job.id
        assert plain() == in_child(plain)
        assert in_child(closed) == "closed"
        next(client.jobs.watch(job.id))
        assert in_child(watching) == job.id
        # The parent's connection was not touched.
        assert client.jobs.get(job.id).id == job.id


@forking
def test_fork__of_a_fork_that_called_says_that_it_cannot_call(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key) as client:
        client.queue.state()

        def child() -> object:
            client.queue.state()
            return in_child(lambda: client.queue.state().paused)

        answer = in_child(child)

    assert str(answer).startswith(ConfigurationError.__name__)
    assert "spawn or forkserver" in str(answer)


@forking
async def test_fork__of_an_asynchronous_client_is_refused_in_the_child_s_loop(target: Target) -> None:
    async def call(client: AsyncReelbase) -> bool:
        return (await client.queue.state()).paused

    async with target.service() as used, target.service() as unused:
        await call(used)

        # In threads, where no loop runs.
        refused = await asyncio.to_thread(in_child, lambda: asyncio.run(call(used)))
        assert str(refused).startswith(WrongLoop.__name__)
        assert await asyncio.to_thread(in_child, lambda: asyncio.run(closing(used))) is None
        assert await asyncio.to_thread(in_child, lambda: asyncio.run(call(unused))) is False
        assert await call(used) is False


def test_forgotten_client__is_warned_of_with_the_place_it_was_made(target: Target) -> None:
    tracemalloc.start()
    try:
        client = Reelbase(target.url, target.service_role_key)
        client.queue.state()
        place = rf"unclosed client <Reelbase {target.url}>, made at {__file__}:\d+"
        with pytest.warns(ResourceWarning, match=place):
            del client
    finally:
        tracemalloc.stop()


async def test_forgotten_asynchronous_client__is_warned_of(target: Target) -> None:
    client = target.service()
    await client.queue.state()

    with pytest.warns(ResourceWarning, match="unclosed client <AsyncReelbase http"):
        del client


@pytest.mark.parametrize("way", ["health", "watch", "subscription"])
async def test_forgotten_client__leaves_no_thread_or_socket(own_target: Target, way: str) -> None:
    def use() -> None:
        client = Reelbase(own_target.url, own_target.service_role_key)
        job = client.jobs.create("mp4", 64, 64)
        if way == "health":
            client.health.check()
        elif way == "watch":
            next(client.jobs.watch(job.id))
        else:
            client.subscriptions.ready(client.subscriptions.subscribe_to_job(job.id, print))

    with pytest.warns(ResourceWarning, match="unclosed client"):
        use()
    before, files = client_threads(), psutil.Process().num_fds()
    for _ in range(4):
        with pytest.warns(ResourceWarning, match="unclosed client"):
            use()

    def left() -> None:
        assert client_threads() <= before
        # Each would leave three; the stack in this process has a connection more now and then.
        assert psutil.Process().num_fds() < files + 4 * 3 / 2
        assert connections(own_target.url) == 0

    await eventually(left)


def test_forgotten_host__leaves_its_guests_what_they_open_themselves(target: Target) -> None:
    guest = Reelbase(target.url, target.anon_key).as_user(target.token(sub=str(uuid4())))
    with guest:
        job = guest.jobs.create("mp4", 64, 64)
        assert next(guest.jobs.watch(job.id)).job_id == job.id


def test_client_that_never_called__holds_nothing(target: Target) -> None:
    # Warnings are errors here.
    client = Reelbase(target.url, target.service_role_key)
    del client


def test_repr__shows_no_key(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key) as client:
        assert repr(client) == f"<Reelbase {target.url}>"


@pytest.mark.parametrize("mode", ["Reelbase", "AsyncReelbase"])
def test_exit__is_clean(target: Target, mode: str) -> None:
    program = f"""
import asyncio
from reelbase import AsyncReelbase, Reelbase
arguments = {(target.url, target.service_role_key)!r}

async def main():
    async with AsyncReelbase(*arguments) as client:
        await asyncio.gather(*(client.queue.state() for _ in range(3)))

if {mode!r} == "AsyncReelbase":
    asyncio.run(main())
else:
    with Reelbase(*arguments) as client:
        client.queue.state()
"""
    for _ in range(5):
        ended = subprocess.run(
            [sys.executable, "-W", "default", "-c", program], capture_output=True, check=False
        )

        assert (ended.returncode, ended.stderr) == (0, b"")


def test_import__brings_no_library_that_most_programs_do_not_need() -> None:
    program = """
import sys, reelbase
client = reelbase.Reelbase("http://127.0.0.1:1", "key")
print([name for name in ("supabase", "httpx", "realtime", "websockets", "aiohttp") if name in sys.modules])
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout.strip() == "[]"


def test_plain_client__has_the_same_key_and_ends_with_its_owner(target: Target) -> None:
    client = Reelbase(target.url, target.service_role_key)
    plain = client.supabase

    assert plain.rpc("user_role").execute().data == client.security.user_role()
    assert client.supabase is plain
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        plain.rpc("user_role").execute()


@pytest.mark.parametrize("mode", ["sync", "async"])
async def test_plain_client_of_a_guest__ends_with_the_host(own_target: Target, mode: str) -> None:
    host: Any = {"sync": Reelbase, "async": AsyncReelbase}[mode](own_target.url, own_target.service_role_key)
    guests = [host.as_user(own_target.token()) for _ in range(3)]
    guests.append(guests[0].as_user(own_target.token()))
    plains = [guest.supabase for guest in guests]
    for plain in plains:
        await done(plain.rpc("user_role").execute())
    await done(host.close() if mode == "sync" else host.aclose())

    assert connections(own_target.url) == 0
    for plain in plains:
        with pytest.raises(RuntimeError, match="closed"):
            await done(plain.rpc("user_role").execute())
    for guest in (*guests, host.as_user(own_target.token())):
        with pytest.raises(ClientClosed, match="Make another one"):
            _ = guest.supabase


async def test_plain_client__has_the_same_token_too(target: Target) -> None:
    async with target.user() as client:
        assert (await client.supabase.rpc("user_role").execute()).data == await client.security.user_role()
