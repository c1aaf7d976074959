"""Guests of one client, which share its cache, are served nothing that another one has read."""

from uuid import uuid4

import pytest

from reelbase import AsyncReelbase, Cache, NotFound, Reelbase
from support import Target


async def test_first_read_of_a_guest_whose_token_is_provided__is_nobody_else_s(target: Target) -> None:
    """Until its provider is asked, a guest is not known, and no two unknown ones are the same."""
    owner, stranger = uuid4(), uuid4()
    async with AsyncReelbase(target.url, target.service_role_key, cache=Cache()) as host:
        job = await host.jobs.create("mp4", 64, 64, user_id=owner)

        first = host.as_user(lambda: target.token(sub=str(owner)))
        assert (await first.jobs.get(job.id)).id == job.id
        with pytest.raises(NotFound):
            await host.as_user(lambda: target.token(sub=str(stranger))).jobs.get(job.id)


def test_first_read_of_a_guest__is_nobody_else_s_in_synchronous_code(target: Target) -> None:
    owner, stranger = uuid4(), uuid4()
    with Reelbase(target.url, target.service_role_key, cache=Cache()) as host:
        job = host.jobs.create("mp4", 64, 64, user_id=owner)

        assert host.as_user(lambda: target.token(sub=str(owner))).jobs.get(job.id).id == job.id
        with pytest.raises(NotFound):
            host.as_user(lambda: target.token(sub=str(stranger))).jobs.get(job.id)
