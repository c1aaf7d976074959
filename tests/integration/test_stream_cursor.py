"""The cursor of a stream: who goes on from there misses nothing, wherever it stopped."""

import asyncio
from itertools import islice
from uuid import UUID

import pytest

from reelbase import AsyncReelbase, JobSpec, Reelbase
from support import Target

JOBS = 10
SPECS = [JobSpec(output_format="mp4", width=64, height=64) for _ in range(JOBS)]


@pytest.fixture
async def jobs(own_target: Target) -> list[UUID]:
    """With an event each."""
    async with own_target.service() as backend:
        return [job.id for job in await backend.jobs.create_many(SPECS)]


@pytest.mark.parametrize("stop", [1, 5, JOBS])
async def test_cursor__lies_before_what_was_not_told(own_target: Target, jobs: list[UUID], stop: int) -> None:
    async with own_target.service() as backend:
        async with backend.events.stream(after="beginning") as stream:
            told = [(await anext(stream)).job_id for _ in range(stop)]
            # It may begin anew only where it has no place yet.
            cursor = stream.cursor
        rest = await asyncio.wait_for(after(backend, cursor), 10)

    assert set(told) | set(rest) == set(jobs)
    assert stop < JOBS or rest == []


@pytest.mark.parametrize("stop", [1, 5, JOBS])
async def test_cursor__of_a_synchronous_stream_does_too(
    own_target: Target, jobs: list[UUID], stop: int
) -> None:
    def take() -> tuple[list[UUID], str | None]:
        with Reelbase(own_target.url, own_target.service_role_key) as client:
            stream = client.events.stream(after="beginning")
            return [event.job_id for event in islice(stream, stop)], stream.cursor

    told, cursor = await asyncio.to_thread(take)
    async with own_target.service() as backend:
        rest = await asyncio.wait_for(after(backend, cursor), 10)

    assert set(told) | set(rest) == set(jobs)


@pytest.mark.usefixtures("jobs")
async def test_cursor__of_what_comes_from_now_on(own_target: Target) -> None:
    async with own_target.service() as backend:
        async with backend.events.stream() as stream:
            await stream.start()
            cursor = stream.cursor
        later = await backend.jobs.create_many(SPECS)
        rest = await asyncio.wait_for(after(backend, cursor), 10)

    assert rest == [job.id for job in later]


async def after(backend: AsyncReelbase, cursor: str | None) -> list[UUID]:
    """The jobs of all events from there on."""
    page = await backend.events.read_all(after=cursor)
    return [event.job_id for event in page.items]
