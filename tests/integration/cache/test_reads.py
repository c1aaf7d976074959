"""What clients with a cache see, in memory alone."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from proxy import Proxy
from reelbase import (
    AsyncReelbase,
    Cache,
    CallTimeout,
    Job,
    JobStatus,
    Lifetimes,
    NotFound,
    ProcessingStep,
    Reelbase,
    StorageOperationType,
)
from reelbase.execution.call import Call
from support import AnyClient, Target, done, eventually, text

Connect = Callable[..., AnyClient]
Counts = Callable[[AnyClient], Callable[[str], int]]
Write = Callable[[Any], Any]
Writing = Callable[[AnyClient, Write], Awaitable[Any]]

LONG = Lifetimes(running=3600, lists=3600)


async def new_job(client: AnyClient) -> Job:
    job: Job = await done(client.jobs.create("mp4", 640, 360))
    return job


async def test_a_second_read__asks_nobody(connect: Connect, counted: Counts) -> None:
    client = connect(Cache(lifetimes=LONG))
    job = await new_job(client)
    carried = counted(client)

    first = await done(client.jobs.get(job.id))
    second = await done(client.jobs.get(job.id))

    assert first == second == job
    assert carried("get_job") == 1
    stats = client.cache.stats()
    assert (stats.memory.hits, stats.memory.misses, stats.memory.ratio) == (1, 1, 0.5)
    assert (stats.memory.entries, stats.redis) == (1, None)
    assert stats.memory.bytes > 500


async def test_results__are_everybodys_own(connect: Connect) -> None:
    client = connect(Cache(lifetimes=LONG))
    job = await new_job(client)

    (await done(client.jobs.get(job.id))).metadata["mine"] = True
    (await done(client.elements.list(job.id))).append("mine")

    assert (await done(client.jobs.get(job.id))).metadata == {}
    assert await done(client.elements.list(job.id)) == []


async def alone(client: AnyClient, write: Write) -> Any:
    return await done(write(client))


async def in_a_batch(client: AnyClient, write: Write) -> Any:
    batch = client.batch()
    written = write(batch)
    await done(batch.run())
    return written.result()


@pytest.mark.parametrize("write", [alone, in_a_batch])
async def test_ones_own_writes__are_seen_at_once(connect: Connect, write: Writing) -> None:
    client = connect(Cache(lifetimes=LONG))
    job = await new_job(client)
    await done(client.jobs.get(job.id))
    await done(client.jobs.get_with_details(job.id))
    await done(client.elements.list(job.id))
    await done(client.timeline.get(job.id))
    before = await done(client.jobs.list(page_size=1))

    element = await write(client, lambda to: to.elements.add(job.id, text()))
    assert await done(client.elements.list(job.id)) == [element]

    claimed = await write(client, lambda to: to.jobs.update_status(job.id, JobStatus.PROCESSING))
    assert await done(client.jobs.get(job.id)) == claimed
    assert (await done(client.jobs.get_with_details(job.id))).job == claimed
    assert await done(client.jobs.list(page_size=1)) != before

    step = await write(client, lambda to: to.timeline.start(job.id, ProcessingStep.UPLOAD))
    assert [row.id for row in await done(client.timeline.get(job.id))] == [step.id]

    # The operations do not name the job; their results do.
    await write(client, lambda to: to.timeline.update_progress(step.id, 50))
    assert (await done(client.timeline.get(job.id)))[0].progress_percentage == 50
    assert (await done(client.jobs.get(job.id))).progress_percentage > 0
    await done(client.jobs.get_with_details(job.id))
    stored = await write(
        client, lambda to: to.storage.log(StorageOperationType.UPLOAD, "bucket", "path", job_id=job.id)
    )
    assert (await done(client.jobs.get_with_details(job.id))).storage_operations == (stored,)


async def test_jobs__live_as_long_as_their_status_lets_them(
    connect: Connect, in_status: Callable[[JobStatus], Awaitable[Job]], counted: Counts
) -> None:
    client = connect(Cache(lifetimes=Lifetimes(running=0)))
    pending, completed = await in_status(JobStatus.PENDING), await in_status(JobStatus.COMPLETED)
    carried = counted(client)

    for _ in range(2):
        await done(client.jobs.get(pending.id))
        await done(client.jobs.get(completed.id))

    assert carried("get_job") == 3


async def test_what_must_be_true_now__is_never_cached(connect: Connect, counted: Counts) -> None:
    client = connect(Cache(lifetimes=LONG))
    job = await new_job(client)
    carried = counted(client)

    for _ in range(2):
        await done(client.events.read(job.id))
        await done(client.security.can_subscribe_to_job(job.id))
        await done(client.security.user_role())
        await done(client.maintenance.health())

    assert len(carried.calls) == 8  # type: ignore[attr-defined]


async def test_errors__are_not_cached(connect: Connect, counted: Counts) -> None:
    client = connect(Cache(lifetimes=LONG))
    carried = counted(client)
    unknown = uuid4()

    for _ in range(2):
        with pytest.raises(NotFound):
            await done(client.jobs.get(unknown))

    assert carried("get_job") == 2
    assert client.cache.stats().memory.entries == 0


async def test_bypass__reads_what_is_there_now(connect: Connect, database: psycopg.Connection[Any]) -> None:
    client = connect(Cache(lifetimes=LONG))
    job = await new_job(client)
    await done(client.jobs.get(job.id))
    # Behind the client's back, which is what a cache cannot see.
    database.execute("update public.jobs set metadata = '{\"changed\": 1}' where id = %s", [job.id])

    with client.cache.bypass():
        assert (await done(client.jobs.get(job.id))).metadata == {"changed": 1}
    assert (await done(client.jobs.get(job.id))).metadata == {}

    await done(client.cache.invalidate(f"job:{job.id}"))
    assert (await done(client.jobs.get(job.id))).metadata == {"changed": 1}


async def test_handle__warms_and_clears(connect: Connect, counted: Counts) -> None:
    client = connect(Cache(lifetimes=LONG))
    jobs = [await new_job(client) for _ in range(3)]
    carried = counted(client)
    listed = Call("get_job_elements", {"job_id": jobs[0].id}, list, reads=("elements", jobs[0].id))

    assert client.cache.enabled
    assert await done(client.cache.warm([*(job.id for job in jobs), uuid4(), listed])) == 4
    assert carried("get_job") == 4
    for job in jobs:
        await done(client.jobs.get(job.id))
    assert carried("get_job") == 4

    await done(client.cache.clear())
    assert client.cache.stats().memory.entries == 0
    await done(client.jobs.get(jobs[0].id))
    assert carried("get_job") == 5


async def test_without_a_cache__the_handle_does_nothing(client: AnyClient) -> None:
    job = await new_job(client)

    assert not client.cache.enabled
    assert await done(client.cache.warm([job.id])) == 0
    await done(client.cache.invalidate(("job", job.id)))
    await done(client.cache.clear())
    assert client.cache.stats().memory.entries == 0
    with client.cache.bypass():
        assert await done(client.jobs.get(job.id)) == job


async def test_memory__keeps_to_its_bounds(connect: Connect) -> None:
    client = connect(Cache(max_entries=3, lifetimes=LONG))
    jobs = [await new_job(client) for _ in range(5)]

    await done(client.cache.warm(job.id for job in jobs))

    stats = client.cache.stats()
    assert (stats.memory.entries, stats.memory.evictions) == (3, 2)


async def test_fifty_readers_at_once__make_one_call_async(target: Target, counted: Counts) -> None:
    async with AsyncReelbase(target.url, target.service_role_key, cache=Cache(lifetimes=LONG)) as client:
        job = await new_job(client)
        carried = counted(client)

        results = await asyncio.gather(*(client.jobs.get(job.id) for _ in range(50)))

        assert results == [job] * 50
        assert carried("get_job") == 1
        assert client.cache.stats().joined == 49


async def test_fifty_readers_at_once__make_one_call_sync(target: Target, counted: Counts) -> None:
    with Reelbase(target.url, target.service_role_key, cache=Cache(lifetimes=LONG)) as client:
        job = await new_job(client)
        carried = counted(client)
        together = threading.Barrier(50)

        def read() -> Job:
            together.wait()
            return client.jobs.get(job.id)

        with ThreadPoolExecutor(50) as pool:
            results = [reader.result() for reader in [pool.submit(read) for _ in range(50)]]

        assert results == [job] * 50
        assert carried("get_job") == 1


async def test_one_reader_who_gives_up__takes_nobody_along(target: Target, counted: Counts) -> None:
    async with AsyncReelbase(target.url, target.service_role_key, cache=Cache(lifetimes=LONG)) as client:
        job = await new_job(client)
        carried = counted(client)
        readers = [asyncio.create_task(client.jobs.get(job.id)) for _ in range(5)]
        await asyncio.sleep(0)
        readers[0].cancel()

        results = await asyncio.gather(*readers, return_exceptions=True)

        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [job] * 4
        assert carried("get_job") == 1


async def reading(client: AnyClient, services: Any, job: Job) -> "asyncio.Future[Job]":
    """A read that has begun."""
    read = (
        services.jobs.get
        if isinstance(client, AsyncReelbase)
        else partial(asyncio.to_thread, services.jobs.get)
    )
    begun: asyncio.Future[Job] = asyncio.ensure_future(read(job.id))

    async def under_way() -> None:
        assert client._cached._flights._flights

    await eventually(under_way)
    return begun


async def test_reader_with_little_time__does_not_wait_for_one_with_more(
    connect: Connect, target: Target, service: AsyncReelbase
) -> None:
    async with Proxy(target.url) as proxy:
        client = connect(Cache(lifetimes=LONG), url=proxy.url)
        job = await new_job(service)
        proxy.stall()
        patient = await reading(client, client, job)

        with pytest.raises(CallTimeout, match=r"0\.2 s") as caught:
            await (await reading(client, client.with_timeout(0.2), job))

        assert caught.value.function == "get_job"
        assert not patient.done()
        proxy.flow()
        assert await patient == job


async def test_reader_with_little_time__takes_nobody_along(
    connect: Connect, target: Target, service: AsyncReelbase
) -> None:
    async with Proxy(target.url) as proxy:
        client = connect(Cache(lifetimes=LONG), url=proxy.url)
        job = await new_job(service)
        proxy.stall()
        hurried = await reading(client, client.with_timeout(0.5), job)
        patient = await reading(client, client, job)

        with pytest.raises(CallTimeout):
            await hurried
        proxy.flow()

        assert await patient == job


async def test_threads__write_and_read_what_they_wrote(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key, cache=Cache(lifetimes=LONG)) as client:

        def work() -> bool:
            job = client.jobs.create("mp4", 64, 64)
            before = client.jobs.get(job.id)
            after = client.jobs.update_status(job.id, JobStatus.PROCESSING)
            return before == job and client.jobs.get(job.id) == after

        with ThreadPoolExecutor(8) as pool:
            assert all(worker.result() for worker in [pool.submit(work) for _ in range(40)])


async def test_an_event__is_newer_than_what_is_read_after_it(connect: Connect, target: Target) -> None:
    client = connect(Cache(lifetimes=LONG))
    job = await new_job(client)
    await done(client.jobs.get(job.id))

    async with target.service() as backend:
        await backend.jobs.update_status(job.id, JobStatus.PROCESSING)
        await backend.jobs.update_status(job.id, JobStatus.COMPLETED)
    assert (await done(client.jobs.get(job.id))).status is JobStatus.PENDING

    if isinstance(client, AsyncReelbase):
        seen = [
            (event.seq, (await client.jobs.get(job.id)).event_seq)
            async for event in client.jobs.watch(job.id)
        ]
    else:
        seen = await asyncio.to_thread(
            lambda: [(event.seq, client.jobs.get(job.id).event_seq) for event in client.jobs.watch(job.id)]
        )

    assert seen
    assert all(read >= told for told, read in seen)
    assert (await done(client.jobs.get(job.id))).status is JobStatus.COMPLETED


async def test_a_watch__reads_past_the_cache(connect: Connect, counted: Counts) -> None:
    client = connect(Cache(lifetimes=LONG))
    job = await new_job(client)
    carried = counted(client)
    await done(client.jobs.cancel(job.id))

    if isinstance(client, AsyncReelbase):
        events = [event async for event in client.jobs.watch(job.id)]
    else:
        events = await asyncio.to_thread(lambda: list(client.jobs.watch(job.id)))

    assert events[-1].is_terminal
    assert carried("read_job_events") == 0


async def test_a_cache_of_several_threads_and_loops__is_one(target: Target) -> None:
    cache = Cache(lifetimes=LONG)
    async with AsyncReelbase(target.url, target.service_role_key, cache=cache) as asynchronous:
        with Reelbase(target.url, target.service_role_key, cache=cache) as synchronous:
            job = await new_job(asynchronous)
            await asynchronous.jobs.get(job.id)
            assert synchronous.jobs.get(job.id) == job
            assert cache.stats().memory.hits == 1

            ended = await asyncio.to_thread(synchronous.jobs.cancel, job.id)
            assert await asynchronous.jobs.get(job.id) == ended


async def test_closing__leaves_no_read_behind(target: Target) -> None:
    client = AsyncReelbase(target.url, target.service_role_key, cache=Cache(lifetimes=LONG))
    job = await new_job(client)
    reader = asyncio.create_task(client.jobs.get(job.id))
    await asyncio.sleep(0)
    await client.aclose()
    await asyncio.gather(reader, return_exceptions=True)

    async def nothing_is_left() -> None:
        assert [task.get_name() for task in asyncio.all_tasks() if "reelbase" in task.get_name()] == []

    await eventually(nothing_is_left)
