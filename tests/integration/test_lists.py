"""Lists come in pages, and iterate through all of them."""

import asyncio
import pickle
from typing import Any
from uuid import UUID, uuid4

import pytest

from reelbase import AsyncReelbase, InvalidArgument, Job, JobSpec, Reelbase, StorageOperationType
from support import AnyClient, Target, done


async def some_jobs(client: AnyClient, count: int) -> tuple[UUID, list[UUID]]:
    """A user, and the jobs of that user, newest first."""
    user_id = uuid4()
    jobs: list[Job] = [await done(client.jobs.create("mp4", 64, 64, user_id=user_id)) for _ in range(count)]
    return user_id, [job.id for job in reversed(jobs)]


async def through(listing: Any) -> list[Any]:
    """All items, in the way of the client that reads them."""
    if hasattr(listing, "__await__"):
        return [item async for item in listing]
    return list(listing)


@pytest.mark.parametrize("page_size", [1, 2, 3, 5, 50])
async def test_iterating__goes_through_all_pages(client: AnyClient, page_size: int) -> None:
    user_id, ids = await some_jobs(client, 5)

    found = await through(client.jobs.list(user_id=user_id, page_size=page_size))

    assert [job.id for job in found] == ids


async def test_page__is_what_was_asked_for_alone(client: AnyClient) -> None:
    user_id, ids = await some_jobs(client, 3)

    page = await done(client.jobs.list(user_id=user_id, page_size=2, with_total=True))
    rest = await done(client.jobs.list(user_id=user_id, cursor=page.next_cursor))

    assert ([job.id for job in page.items], page.total) == (ids[:2], 3)
    assert ([job.id for job in rest.items], rest.next_cursor, rest.total) == (ids[2:], None, None)


async def test_empty_list__has_no_items(client: AnyClient) -> None:
    assert await through(client.jobs.list(user_id=uuid4())) == []


async def test_counted_list__goes_on_without_counting(client: AnyClient) -> None:
    user_id, ids = await some_jobs(client, 3)

    found = await through(client.jobs.list(user_id=user_id, page_size=1, with_total=True))

    assert [job.id for job in found] == ids


async def test_every_list__iterates(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    for number in range(3):
        await done(client.storage.log(StorageOperationType.UPLOAD, "videos", f"{number}.mp4", job_id=job.id))
        await done(client.access.log(job.id, f"https://cdn.example.com/{number}"))

    operations = await through(client.storage.list(job_id=job.id, page_size=2))
    accesses = await through(client.access.list(job_id=job.id, page_size=2))

    assert [operation.key for operation in operations] == ["2.mp4", "1.mp4", "0.mp4"]
    assert [access.url[-1] for access in accesses] == ["2", "1", "0"]


async def test_event_log__iterates_to_its_present_end(client: AnyClient) -> None:
    start = await done(client.events.cursor())
    user_id, ids = await some_jobs(client, 3)

    events = await through(client.events.read_all(after=start, user_id=user_id, max_events=1))

    assert [event.job_id for event in events] == list(reversed(ids))


async def test_refused_list__raises_at_once(client: AnyClient) -> None:
    with pytest.raises(InvalidArgument):
        await through(client.jobs.list(page_size=0))


def test_pages__are_read_when_they_are_needed(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key) as client:
        user_id = uuid4()
        client.jobs.create_many([JobSpec(output_format="mp4", width=64, height=64, user_id=user_id)] * 2)
        jobs = iter(client.jobs.list(user_id=user_id, page_size=1))

        next(jobs)
        client.jobs.create("mp4", 64, 64, user_id=user_id)
        next(jobs)

        assert list(jobs) == []


async def test_page__goes_on_from_its_items(service: AsyncReelbase) -> None:
    user_id, ids = await some_jobs(service, 3)
    page = await service.jobs.list(user_id=user_id, page_size=2)

    assert [job.id async for job in page] == ids
    with pytest.raises(TypeError, match="use `async for`"):
        list(page)


async def test_listing__is_a_coroutine_like_every_other_call(service: AsyncReelbase) -> None:
    user_id, ids = await some_jobs(service, 1)

    by_task = await asyncio.create_task(service.jobs.list(user_id=user_id))
    gathered, waited = await asyncio.gather(
        service.jobs.list(user_id=user_id), asyncio.wait_for(service.jobs.list(user_id=user_id), 10)
    )

    assert by_task == gathered == waited
    assert [job.id for job in by_task.items] == ids
    service.jobs.list().close()


async def test_page__is_compared_and_pickled_by_its_items(client: AnyClient) -> None:
    user_id, ids = await some_jobs(client, 2)
    page = await done(client.jobs.list(user_id=user_id, page_size=1))

    copied = pickle.loads(pickle.dumps(page))  # noqa: S301  # made just here

    assert copied == page
    assert [job.id for job in copied] == ids[:1]
