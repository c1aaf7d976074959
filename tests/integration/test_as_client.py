"""A backend acts for an anonymous client: the database believes the address that the backend vouches for."""

import time
from collections.abc import AsyncIterator
from ipaddress import ip_address
from typing import Any
from uuid import uuid4

import pytest

from reelbase import (
    AsyncReelbase,
    ConfigurationError,
    InvalidArgument,
    JobStatus,
    NotFound,
    PermissionDenied,
    Reelbase,
    SigningKey,
)
from support import AnyClient, Target, done

HERE, THERE = "203.0.113.7", "2001:db8::7"


@pytest.fixture(params=["sync", "async"])
async def backend(request: pytest.FixtureRequest, target: Target) -> AsyncIterator[AnyClient]:
    factory: Any = {"sync": Reelbase, "async": AsyncReelbase}[request.param]
    key = SigningKey.from_secret(target.jwt_secret)
    client = factory(target.url, target.service_role_key, signing_key=key)
    yield client
    await done(client.aclose() if isinstance(client, AsyncReelbase) else client.close())


async def test_client__creates_and_sees_what_is_of_its_address(backend: AnyClient) -> None:
    here, there = backend.as_client(HERE), backend.as_client(ip_address(THERE))

    job = await done(here.jobs.create("mp4", 64, 64, client_ip="198.51.100.1"))

    assert (job.client_ip, job.user_id) == (ip_address(HERE), None)
    assert await done(there.security.client_ip()) == ip_address(THERE)
    assert (await done(here.jobs.get(job.id))).id == job.id
    assert job.id in [found.id for found in (await done(here.jobs.list())).items]
    with pytest.raises(NotFound):
        await done(there.jobs.get(job.id))
    with pytest.raises(PermissionDenied):
        await done(here.queue.state())


async def test_client__does_not_see_what_users_made_from_its_address(backend: AnyClient) -> None:
    job = await done(backend.jobs.create("mp4", 64, 64, client_ip=HERE, user_id=uuid4()))

    with pytest.raises(NotFound):
        await done(backend.as_client(HERE).jobs.get(job.id))


@pytest.mark.parametrize("address", ["999.1.1.1", "", "203.0.113.0/24", "2001:db8::1%eth0", "localhost"])
async def test_what_is_no_address__is_refused(backend: AnyClient, address: str) -> None:
    with pytest.raises(InvalidArgument, match="client_ip must be an IP address") as caught:
        backend.as_client(address)

    assert [problem.argument for problem in caught.value.problems] == ["client_ip"]


async def test_client__watches_live(target: Target) -> None:
    key = SigningKey.from_secret(target.jwt_secret)
    async with AsyncReelbase(target.url, target.service_role_key, signing_key=key) as backend:
        visitor = backend.as_client(HERE)
        job = await visitor.jobs.create("mp4", 64, 64)
        async with visitor.jobs.watch(job.id) as events:
            await visitor.jobs.cancel(job.id)
            assert [event.status async for event in events] == [JobStatus.PENDING, JobStatus.CANCELLED]


async def test_address_of_a_long_lived_token__is_not_believed(target: Target) -> None:
    async with target.anonymous(role="anon", client_ip=HERE, exp=int(time.time()) + 90_000) as client:
        assert await client.security.client_ip() is None


async def test_address__needs_a_key_to_vouch_with(target: Target) -> None:
    async with target.service() as client:
        with pytest.raises(ConfigurationError, match="vouch"):
            client.as_client(HERE)
