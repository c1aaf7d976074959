"""Nobody is served what somebody else has read, though all share one cache."""

from collections.abc import Callable
from uuid import uuid4

import jwt
import pytest

from redis_fixtures import RedisServer
from reelbase import AuthenticationError, Cache, Job, Lifetimes, NotFound, ReelbaseError
from support import AnyClient, Target, done

Connect = Callable[..., AnyClient]

LONG = Lifetimes(running=3600, lists=3600)


@pytest.fixture(params=["memory", "redis"])
def shared_cache(request: pytest.FixtureRequest) -> Cache:
    if request.param == "memory":
        return Cache(lifetimes=LONG)
    server: RedisServer = request.getfixturevalue("redis_server")
    return Cache(redis=server.url, lifetimes=LONG)


async def warmed_job(connect: Connect, cache: Cache, owner: object) -> Job:
    backend = connect(cache)
    job: Job = await done(backend.jobs.create("mp4", 64, 64, user_id=owner))
    assert await done(backend.jobs.get(job.id)) == job
    return job


async def test_a_job_that_a_backend_has_read__is_not_a_strangers(
    connect: Connect, target: Target, shared_cache: Cache
) -> None:
    owner = uuid4()
    job = await warmed_job(connect, shared_cache, owner)
    of_owner = connect(shared_cache, target.anon_key, target.token(sub=str(owner)))
    of_stranger = connect(shared_cache, target.anon_key, target.token(sub=str(uuid4())))
    anonymous = connect(shared_cache, target.anon_key)
    watched = connect(shared_cache, target.anon_key, target.token(role="anon", watch_job_id=str(uuid4())))

    assert (await done(of_owner.jobs.get(job.id))).id == job.id
    for client in (of_stranger, anonymous, watched):
        for _ in range(2):
            with pytest.raises(ReelbaseError):
                await done(client.jobs.get(job.id))
            assert job.id not in [item.id for item in (await done(client.jobs.list())).items]
    with pytest.raises(NotFound):
        await done(of_stranger.jobs.get(job.id))


async def test_lists__are_of_who_asked(connect: Connect, target: Target, shared_cache: Cache) -> None:
    owner = uuid4()
    job = await warmed_job(connect, shared_cache, owner)
    of_owner = connect(shared_cache, target.anon_key, target.token(sub=str(owner)))
    of_stranger = connect(shared_cache, target.anon_key, target.token(sub=str(uuid4())))

    assert [item.id for item in (await done(of_owner.jobs.list())).items] == [job.id]
    assert (await done(of_stranger.jobs.list())).items == ()
    assert (await done(of_stranger.jobs.list())).items == ()


async def test_a_forged_token__is_not_served_what_the_real_one_has_read(
    connect: Connect, target: Target, shared_cache: Cache
) -> None:
    owner = uuid4()
    job = await warmed_job(connect, shared_cache, owner)
    real = target.token(sub=str(owner))
    claims = jwt.decode(real, options={"verify_signature": False})
    forged = jwt.encode(claims, "a secret that somebody made up for this test", "HS256")
    assert (await done(connect(shared_cache, target.anon_key, real).jobs.get(job.id))).id == job.id

    with pytest.raises(AuthenticationError):
        await done(connect(shared_cache, target.anon_key, forged).jobs.get(job.id))


async def test_an_expired_token__is_served_nothing(
    connect: Connect, target: Target, shared_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = uuid4()
    job = await warmed_job(connect, shared_cache, owner)
    client = connect(shared_cache, target.anon_key, target.token(sub=str(owner)))
    await done(client.jobs.get(job.id))
    assert client._cached._cached(type(client.jobs).get.build(None, job.id)) is not None

    monkeypatch.setattr("reelbase.cache.identity.time.time", lambda: 1e11)

    assert client._cached._cached(type(client.jobs).get.build(None, job.id)) is None


async def test_a_write__is_seen_by_every_identity(
    connect: Connect, target: Target, shared_cache: Cache
) -> None:
    owner = uuid4()
    job = await warmed_job(connect, shared_cache, owner)
    of_owner = connect(shared_cache, target.anon_key, target.token(sub=str(owner)))
    assert (await done(of_owner.jobs.get(job.id))).id == job.id

    ended = await done(connect(shared_cache).jobs.cancel(job.id))

    assert (await done(of_owner.jobs.get(job.id))).status is ended.status


async def test_anonymous_results__do_not_leave_the_process(
    connect: Connect, target: Target, redis_server: RedisServer
) -> None:
    client = connect(Cache(redis=redis_server.url, lifetimes=LONG), target.anon_key)

    await done(client.jobs.list())
    await done(client.jobs.list())

    with redis_server.connect() as connection:
        assert connection.keys("*list_jobs*") == []
    assert client.cache.stats().memory.hits == 1
