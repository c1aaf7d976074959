"""Running a job: created, followed to its end, or handed over to go on with."""

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import pytest

from proxy import Proxy
from reelbase import (
    AsyncReelbase,
    AsyncRunningJob,
    InvalidArgument,
    Job,
    JobFailed,
    JobSpec,
    JobStatus,
    JobUnfinished,
    NotFound,
    Reelbase,
    ResponseType,
    RunningJob,
)
from support import AnyClient, Target, done, eventually, text


def spec(user_id: UUID, **properties: Any) -> JobSpec:
    return JobSpec(output_format="mp4", width=64, height=64, user_id=user_id, **properties)


async def in_background(call: Any, *arguments: Any, **options: Any) -> Any:
    """What an operation returns, without holding up the test, in either mode."""
    return await done(await asyncio.to_thread(call, *arguments, **options))


async def made_for(service: AsyncReelbase, user_id: UUID) -> Job:
    """The job that a run has created by now."""

    async def find() -> Job:
        found = (await service.jobs.list(user_id=user_id)).items
        assert found
        return found[0]

    job: Job = await eventually(find)
    return job


async def finish(service: AsyncReelbase, job: Job, status: JobStatus, **properties: Any) -> None:
    await service.jobs.update_status(job.id, JobStatus.PROCESSING)
    await service.jobs.update_status(job.id, status, **properties)


async def test_run__returns_the_finished_job(client: AnyClient, service: AsyncReelbase) -> None:
    user_id = uuid4()
    running = asyncio.create_task(in_background(client.jobs.run, spec(user_id, elements=(text(),)), wait=60))
    job = await made_for(service, user_id)

    await finish(service, job, JobStatus.COMPLETED, output_size=7)
    finished = await running

    assert isinstance(finished, Job)
    assert (finished.id, finished.status, finished.output_size) == (job.id, JobStatus.COMPLETED, 7)
    assert finished.response_type is ResponseType.IMMEDIATE
    assert finished.check() is finished
    assert len(await service.elements.list(job.id)) == 1


async def test_failed_job__is_returned_and_raises_when_checked(
    client: AnyClient, service: AsyncReelbase
) -> None:
    user_id = uuid4()
    running = asyncio.create_task(in_background(client.jobs.run, spec(user_id), wait=None))
    await finish(
        service, await made_for(service, user_id), JobStatus.FAILED, error_code="x", error_message="No codec."
    )

    failed = await running

    assert failed.status is JobStatus.FAILED
    with pytest.raises(JobFailed, match="failed: No codec") as caught:
        failed.check()
    assert caught.value.job is failed


@pytest.mark.parametrize("wait", [0, 0.2])
async def test_run__past_its_wait_is_a_handle(client: AnyClient, service: AsyncReelbase, wait: float) -> None:
    handle = await done(client.jobs.run(spec(uuid4(), response_type=ResponseType.ASYNC), wait=wait))

    assert isinstance(handle, AsyncRunningJob if isinstance(client, AsyncReelbase) else RunningJob)
    assert (handle.id, handle.job.status) == (handle.job.id, JobStatus.PENDING)
    assert handle.job.response_type is ResponseType.ASYNC
    with pytest.raises(JobUnfinished, match=r"still pending after 0\.1") as caught:
        await done(handle.wait(0.1))
    assert caught.value.job.id == handle.id

    waiting = asyncio.create_task(in_background(handle.wait, 60))
    await finish(service, handle.job, JobStatus.COMPLETED)
    assert (await waiting).status is JobStatus.COMPLETED
    assert handle.job.status is JobStatus.COMPLETED
    assert await done(handle.wait()) is handle.job


async def test_run__past_its_wait_in_an_outage_is_a_handle_too(
    client: AnyClient, service: AsyncReelbase, target: Target
) -> None:
    user_id = uuid4()
    async with Proxy(target.url) as proxy:
        there = type(client)(proxy.url, target.service_role_key)
        running = asyncio.create_task(in_background(there.jobs.run, spec(user_id), wait=2))
        job = await made_for(service, user_id)

        def follows() -> None:
            # By now it has been told of its job, too.
            assert proxy.connections > 1

        await eventually(follows)
        await proxy.cut()
        handle = await running

        assert (handle.id, handle.job.status) == (job.id, JobStatus.PENDING)
        await proxy.restore()
        waiting = asyncio.create_task(in_background(handle.wait, 60))
        await finish(service, job, JobStatus.COMPLETED)
        assert (await waiting).status is JobStatus.COMPLETED
        await in_background(there.aclose if isinstance(there, AsyncReelbase) else there.close)


async def test_waiting__takes_little_longer_than_it_may_when_nobody_answers(
    client: AnyClient, service: AsyncReelbase, target: Target
) -> None:
    job = await service.jobs.create("mp4", 64, 64)
    async with Proxy(target.url) as proxy:
        there = type(client)(proxy.url, target.service_role_key)
        handle = (RunningJob if isinstance(there, Reelbase) else AsyncRunningJob)(there.jobs, job)
        proxy.stall()
        began = time.monotonic()

        with pytest.raises(JobUnfinished):
            await in_background(handle.wait, 0.5)

        # Of a call's own ten seconds.
        assert time.monotonic() - began < 5
        proxy.flow()
        await in_background(there.aclose if isinstance(there, AsyncReelbase) else there.close)


async def test_batch__does_not_wait(service: AsyncReelbase) -> None:
    batch: Any = service.batch()
    for call in (lambda: batch.jobs.run(spec(uuid4())), lambda: batch.jobs.wait_for(uuid4())):
        with pytest.raises(TypeError, match="A batch cannot wait"):
            call()


async def test_handle__cancels_and_watches(client: AnyClient) -> None:
    handle = await done(client.jobs.run(spec(uuid4()), wait=0))
    events = handle.watch()

    cancelled = await done(handle.cancel(reason="Enough."))

    assert (cancelled.status, cancelled.error_message) == (JobStatus.CANCELLED, "Enough.")
    if isinstance(client, AsyncReelbase):
        seen = [event.status async for event in events]
    else:
        seen = await asyncio.to_thread(lambda: [event.status for event in events])
    assert seen == [JobStatus.CANCELLED]
    assert "cancelled" in repr(handle)


async def test_run__refuses_what_cannot_be_created(client: AnyClient) -> None:
    with pytest.raises(InvalidArgument):
        await done(client.jobs.run(JobSpec(output_format="mp4", width=-1, height=64)))


async def test_waiting__is_for_a_status_or_the_end(client: AnyClient, service: AsyncReelbase) -> None:
    job = await service.jobs.create("mp4", 64, 64)
    waiting = asyncio.create_task(
        in_background(client.jobs.wait_for, job.id, status=[JobStatus.PROCESSING], timeout=60)
    )
    await service.jobs.update_status(job.id, JobStatus.PROCESSING)
    assert (await waiting).status is JobStatus.PROCESSING

    with pytest.raises(JobUnfinished):
        await done(client.jobs.wait_for(job.id, timeout=0))
    await service.jobs.cancel(job.id)
    ended = await done(client.jobs.wait_for(job.id, status=[JobStatus.COMPLETED]))
    assert ended.status is JobStatus.CANCELLED
    with pytest.raises(NotFound):
        await done(client.jobs.wait_for(uuid4()))


async def test_run_again__waits_for_the_first_one(client: AnyClient, service: AsyncReelbase) -> None:
    given = spec(uuid4(), idempotency_key=str(uuid4()))
    first = await done(client.jobs.run(given, wait=0))
    second = await done(client.jobs.run(given, wait=0))
    await finish(service, first.job, JobStatus.COMPLETED)
    third = await done(client.jobs.run(given))

    assert first.id == second.id == third.id
    assert third.status is JobStatus.COMPLETED
