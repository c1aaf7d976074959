"""Caches that share a real Redis, and what they do when it fails."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

import reelbase.cache.cache
from redis_fixtures import RedisServer
from reelbase import AsyncReelbase, Cache, ConfigurationError, Job, JobStatus, Lifetimes, Reelbase
from support import AnyClient, Target, done, eventually

Connect = Callable[..., AnyClient]
Counts = Callable[[AnyClient], Callable[[str], int]]

LONG = Lifetimes(running=3600, lists=3600)


def cache(server: RedisServer, **settings: Any) -> Cache:
    return Cache(**{"redis": server.url, "lifetimes": LONG, "recheck_seconds": 0, **settings})


async def new_job(client: AnyClient, **properties: Any) -> Job:
    job: Job = await done(client.jobs.create("mp4", 640, 360, **properties))
    return job


def values(server: RedisServer) -> list[bytes]:
    """Under which keys jobs are."""
    with server.connect() as connection:
        keys: list[bytes] = connection.keys("*:get_job:*")
        return keys


async def test_what_one_has_read__the_other_need_not(
    connect: Connect, counted: Counts, redis_server: RedisServer
) -> None:
    one, other = connect(cache(redis_server)), connect(cache(redis_server))
    job = await new_job(one, metadata={"text": "reel " * 1000})
    carried = counted(other)

    await done(one.jobs.get(job.id))
    assert await done(other.jobs.get(job.id)) == job
    assert await done(other.jobs.get(job.id)) == job

    assert carried("get_job") == 0
    stats = other.cache.stats()
    assert stats.redis is not None
    assert (stats.redis.hits, stats.redis.misses, stats.memory.hits) == (1, 0, 1)
    written = one.cache.stats().redis
    assert written is not None
    assert 0 < written.bytes < 2_000


async def test_what_one_writes__the_other_sees(connect: Connect, redis_server: RedisServer) -> None:
    one, other = connect(cache(redis_server)), connect(cache(redis_server))
    job = await new_job(one)
    for client in (one, other):
        await done(client.jobs.get(job.id))
        await done(client.elements.list(job.id))

    begun = await done(one.jobs.update_status(job.id, JobStatus.PROCESSING))
    assert await done(other.jobs.get(job.id)) == begun

    await done(other.jobs.cancel(job.id))
    assert (await done(one.jobs.get(job.id))).status is JobStatus.CANCELLED

    await done(one.jobs.delete(job.id))
    with pytest.raises(reelbase.NotFound):
        await done(other.jobs.get(job.id))


async def test_another_process__invalidates_too(
    connect: Connect, target: Target, redis_server: RedisServer
) -> None:
    client = connect(cache(redis_server))
    job = await new_job(client)
    await done(client.jobs.get(job.id))
    programme = (
        "import os, uuid\n"
        "from reelbase import Reelbase\n"
        "with Reelbase.from_env() as client:\n"
        f"    client.jobs.cancel(uuid.UUID('{job.id}'))\n"
        "    assert client.cache.enabled\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        programme,
        env={
            **os.environ,
            "SUPABASE_URL": target.url,
            "SUPABASE_SERVICE_ROLE_KEY": target.service_role_key,
            "REELBASE_CACHE": redis_server.url,
        },
    )
    assert await process.wait() == 0

    assert (await done(client.jobs.get(job.id))).status is JobStatus.CANCELLED


async def test_memory__is_believed_for_a_while_without_asking(
    connect: Connect, redis_server: RedisServer
) -> None:
    one, other = connect(cache(redis_server)), connect(cache(redis_server, recheck_seconds=3600))
    job = await new_job(one)
    assert await done(other.jobs.get(job.id)) == job

    await done(one.jobs.cancel(job.id))

    assert await done(other.jobs.get(job.id)) == job


async def test_clear__reaches_all(connect: Connect, counted: Counts, redis_server: RedisServer) -> None:
    one, other = connect(cache(redis_server)), connect(cache(redis_server))
    job = await new_job(one)
    await done(one.jobs.get(job.id))
    await done(other.jobs.get(job.id))
    carried = counted(other)

    await done(one.cache.clear())
    await done(other.jobs.get(job.id))

    assert carried("get_job") == 1


async def test_a_killed_redis__is_a_warning_and_reads_go_on(
    connect: Connect, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(cache(redis_server))
    job = await new_job(client)
    await done(client.jobs.get(job.id))

    redis_server.kill()
    with caplog.at_level(logging.WARNING, "reelbase.cache"):
        assert await done(client.jobs.get(job.id)) == job
        ended = await done(client.jobs.cancel(job.id))
        assert await done(client.jobs.get(job.id)) == ended
        for _ in range(20):
            assert await done(client.jobs.list(page_size=1)) is not None

    assert len(caplog.records) == 1
    assert "Going on without it" in caplog.text
    assert str(redis_server.url) not in caplog.text
    stats = client.cache.stats()
    assert stats.redis is not None
    assert stats.redis.failures >= 1


async def test_a_redis_that_comes_back__is_used_again(connect: Connect, redis_server: RedisServer) -> None:
    client = connect(cache(redis_server))
    job = await new_job(client)
    redis_server.kill()
    await done(client.jobs.get(job.id))
    redis_server.start()

    async def shared_again() -> None:
        await done(client.cache.invalidate("job"))
        await done(client.jobs.get(job.id))
        assert values(redis_server)

    await eventually(shared_again)


async def test_a_frozen_redis__holds_nobody_up(connect: Connect, redis_server: RedisServer) -> None:
    client = connect(cache(redis_server))
    job = await new_job(client)
    redis_server.freeze()

    async with asyncio.timeout(10):
        for _ in range(20):
            assert await done(client.jobs.get(job.id)) == job
            await done(client.cache.invalidate("job"))
    redis_server.thaw()

    stats = client.cache.stats()
    assert stats.redis is not None
    assert stats.redis.failures >= 1


async def test_what_was_written_while_redis_could_not_hear__is_not_served_later(
    connect: Connect, redis_server: RedisServer
) -> None:
    one, other = connect(cache(redis_server)), connect(cache(redis_server))
    jobs = [await new_job(one) for _ in range(3)]
    await done(one.cache.warm(job.id for job in jobs))
    redis_server.freeze()
    # The first tries to tell Redis, the others do not even try.
    ended = [await done(one.jobs.cancel(job.id)) for job in jobs]
    redis_server.thaw()

    async def told() -> None:
        await done(one.jobs.get(jobs[0].id))
        assert [await done(other.jobs.get(job.id)) for job in jobs] == ended

    await eventually(told)


async def test_a_redis_that_never_was__is_no_error(connect: Connect) -> None:
    client = connect(Cache(redis="redis://:secret@127.0.0.1:1/0", lifetimes=LONG))
    job = await new_job(client)

    assert await done(client.jobs.get(job.id)) == job
    assert await done(client.jobs.get(job.id)) == job

    stats = client.cache.stats()
    assert stats.memory.hits == 1
    assert stats.redis is not None
    assert stats.redis.failures == 1


def test_a_cache__outlives_its_event_loops(target: Target, redis_server: RedisServer) -> None:
    shared = cache(redis_server)

    async def read() -> None:
        async with AsyncReelbase(target.url, target.service_role_key, cache=shared) as client:
            job = await new_job(client)
            await client.jobs.get(job.id)
            assert await client.jobs.get(job.id) == job

    asyncio.run(read())
    asyncio.run(read())

    assert shared._users == {}
    assert shared.stats().memory.hits == 2


async def test_a_value_that_is_not_ours__is_ignored(
    connect: Connect, counted: Counts, redis_server: RedisServer
) -> None:
    one, other = connect(cache(redis_server)), connect(cache(redis_server))
    job, another = await new_job(one), await new_job(one)
    await done(one.jobs.get(job.id))
    (key,) = values(redis_server)
    await done(one.jobs.get(another.id))
    (other_key,) = set(values(redis_server)) - {key}
    carried = counted(other)

    with redis_server.connect() as connection:
        for poison in (b"", b"garbage", b"rb0" + b"x" * 100, connection.get(other_key)):
            connection.set(key, poison)
            await done(other.cache.invalidate())
            other.cache._layer.cache.memory.clear()
            assert await done(other.jobs.get(job.id)) == job

    assert carried("get_job") == 4
    stats = other.cache.stats()
    assert stats.redis is not None
    assert stats.redis.rejected == 4


async def test_a_lost_generation__is_a_miss(
    connect: Connect, counted: Counts, redis_server: RedisServer
) -> None:
    one, other = connect(cache(redis_server)), connect(cache(redis_server))
    job = await new_job(one)
    await done(one.jobs.get(job.id))
    carried = counted(other)
    with redis_server.connect() as connection:
        (generation,) = connection.keys(f"*:tag:job:{job.id}")
        connection.delete(generation)

    assert await done(other.jobs.get(job.id)) == job
    assert carried("get_job") == 1


async def test_keys__have_a_name_an_end_and_no_secret(
    connect: Connect, target: Target, redis_server: RedisServer
) -> None:
    client = connect(cache(redis_server))
    job = await new_job(client)
    await done(client.jobs.get(job.id))

    with redis_server.connect() as connection:
        names = connection.keys()
        assert all(name.startswith(b"reelbase:v1:") for name in names)
        assert all(connection.ttl(name) > 0 for name in names)
        everything = b" ".join(names) + b" ".join(connection.get(name) or b"" for name in names)
    assert target.service_role_key.encode() not in everything


async def test_many_clients_of_many_caches__share_one_redis(
    target: Target, redis_server: RedisServer
) -> None:
    shared = [cache(redis_server) for _ in range(5)]
    clients = [
        AsyncReelbase(target.url, target.service_role_key, cache=each) for each in shared for _ in range(2)
    ]
    job = await new_job(clients[0])

    async def work(client: AsyncReelbase) -> None:
        for _ in range(5):
            changed = await client.jobs.create("mp4", 64, 64)
            assert await client.jobs.get(changed.id) == changed
            ended = await client.jobs.cancel(changed.id)
            assert await client.jobs.get(changed.id) == ended
            assert (await client.jobs.get(job.id)).id == job.id

    await asyncio.gather(*(work(client) for client in clients))
    for client in clients:
        await client.aclose()

    assert [each._users for each in shared] == [{}] * 5


def test_a_setting__chooses_the_cache(monkeypatch: pytest.MonkeyPatch, target: Target) -> None:
    monkeypatch.setenv("SUPABASE_URL", target.url)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", target.service_role_key)
    for setting, enabled in (
        ("off", False),
        ("", False),
        ("memory", True),
        ("redis://:pass@nowhere:1/0", True),
    ):
        monkeypatch.setenv("REELBASE_CACHE", setting)
        with Reelbase.from_env() as client:
            assert client.cache.enabled is enabled
            assert (client.cache.stats().redis is not None) == setting.startswith("redis")

    monkeypatch.setenv("REELBASE_CACHE", "redis//:hidden@x")
    with pytest.raises(ConfigurationError, match="off, memory, or the address of a Redis") as caught:
        Reelbase.from_env()
    assert "hidden" not in str(caught.value)


def test_a_cache__shows_no_password() -> None:
    assert "hidden" not in repr(Cache(redis="redis://:hidden@localhost:6379/0"))


def test_without_the_package__it_is_a_cache_in_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reelbase.cache.cache.importlib.util, "find_spec", lambda _name: None)

    assert not Cache(redis="redis://localhost").has_redis
    assert "reelbase[redis]" in caplog.text


def test_a_cache_without_room__is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs room"):
        Cache(max_entries=0)
