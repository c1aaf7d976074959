"""The event log: complete, contiguous and in the order of commits."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from reelbase import (
    AsyncReelbase,
    EventType,
    InvalidArgument,
    JobStatus,
    JobStatusData,
    NotFound,
    ProcessingStep,
)
from support import AnyClient, Target, done, text


async def test_log__tells_the_whole_story_in_order(client: AnyClient) -> None:
    job = (await done(client.jobs.create_video("mp4", 640, 360, elements=[text()]))).job
    await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))
    step = await done(client.timeline.start(job.id, ProcessingStep.ENCODING))
    await done(client.timeline.update_progress(step.id, 50))
    await done(client.jobs.update_progress(job.id, 40))
    await done(client.jobs.update_progress(job.id, 40))
    failed = await done(client.jobs.update_status(job.id, JobStatus.FAILED, error_message="It broke."))

    events = await done(client.events.read(job.id))

    assert [event.type for event in events] == [
        EventType.JOB_CREATED,
        EventType.ELEMENT_ADDED,
        EventType.STEP_STARTED,  # validation, by create_video
        EventType.JOB_STATUS,
        EventType.STEP_STARTED,
        EventType.STEP_PROGRESS,
        EventType.JOB_PROGRESS,  # half of encoding, which is 70 % of a job
        EventType.JOB_PROGRESS,
        EventType.STEP_COMPLETED,  # both open steps are closed
        EventType.STEP_COMPLETED,
        EventType.JOB_STATUS,
    ]
    assert [event.seq for event in events] == list(range(1, 12))
    assert events[-1].data == JobStatusData(from_status=JobStatus.PROCESSING, error_message="It broke.")
    assert (events[-1].status, events[-1].is_terminal) == (JobStatus.FAILED, True)
    assert failed.event_seq == events[-1].seq
    assert events[5].data.progress_percentage == 50
    assert [events[6].progress_percentage, events[7].progress_percentage] == [35, 40]


async def test_read__begins_after_a_seq_and_ends_at_a_limit(client: AnyClient) -> None:
    job = (await done(client.jobs.create_video("mp4", 64, 64, elements=[text() for _ in range(6)]))).job

    assert [e.seq for e in await done(client.events.read(job.id, after_seq=2, max_events=3))] == [3, 4, 5]
    assert await done(client.events.read(job.id, after_seq=8)) == []


@pytest.mark.parametrize("status", [JobStatus.CANCELLED, "cancelled", [JobStatus.CANCELLED]])
async def test_filters__take_one_or_several(service: AsyncReelbase, status: JobStatus) -> None:
    user_id = uuid4()
    cursor = await service.events.cursor()
    job = await service.jobs.create("mp4", 64, 64, user_id=user_id)
    await service.jobs.cancel(job.id)
    wanted: dict[str, Any] = {"types": EventType.JOB_STATUS, "status": status, "user_id": user_id}

    page = await service.events.read_all(after=cursor, **wanted)
    async with service.events.stream(after=cursor, **wanted) as stream:
        streamed = await asyncio.wait_for(anext(stream), 10)
    async with service.events.consumer(f"test.{user_id}", start=cursor, **wanted) as consumer:
        consumed = await asyncio.wait_for(anext(consumer), 10)
    read = await service.events.read(job.id, types=EventType.JOB_STATUS)

    assert list(page.items) == [streamed] == [consumed] == read
    assert streamed.status is JobStatus.CANCELLED


@pytest.mark.parametrize("after_seq", [-1, 2, 10**9])
async def test_read__refuses_a_seq_that_is_not_of_this_job(client: AnyClient, after_seq: int) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))

    with pytest.raises(InvalidArgument, match="after_seq must be 0 to 1, the seq of the job's newest event"):
        await done(client.events.read(job.id, after_seq=after_seq))


async def test_change_of_step_alone__is_an_event(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))
    await done(client.jobs.update_progress(job.id, 10, current_step=ProcessingStep.DOWNLOAD))
    await done(client.jobs.update_progress(job.id, 5, current_step=ProcessingStep.ENCODING))

    last = (await done(client.events.read(job.id)))[-1]

    assert (last.type, last.current_step, last.progress_percentage) == (
        EventType.JOB_PROGRESS,
        ProcessingStep.ENCODING,
        10,
    )


async def test_read__of_an_unknown_job_is_not_found(client: AnyClient) -> None:
    with pytest.raises(NotFound):
        await done(client.events.read(uuid4()))


async def test_seq__stays_contiguous_under_concurrent_writers(own_target: Target) -> None:
    async with own_target.service() as client:
        job = await client.jobs.create("mp4", 64, 64)

        await asyncio.gather(*(client.elements.add(job.id, text(str(n))) for n in range(40)))

        events = await client.events.read(job.id)
        elements = await client.elements.list(job.id)
    assert [event.seq for event in events] == list(range(1, 42))
    assert [element.element_order for element in elements] == list(range(40))


async def test_rolled_back_change__leaves_no_event_and_no_gap(own_target: Target) -> None:
    async with own_target.service() as client:
        job = await client.jobs.create("mp4", 64, 64)
        with own_target.connect() as session:
            with session.transaction(force_rollback=True):
                session.execute("select update_job_status(%s, 'processing')", (job.id,))
            session.execute("select update_job_status(%s, 'cancelled')", (job.id,))

        assert [(e.seq, e.status) for e in await client.events.read(job.id)] == [
            (1, JobStatus.PENDING),
            (2, JobStatus.CANCELLED),
        ]


async def test_no_deadlock__between_any_pair_of_writers(own_target: Target) -> None:
    """Each pair of operations that write to one job, many times at once, in separate sessions."""
    async with own_target.service() as client:
        made = await client.jobs.create_video("mp4", 64, 64, elements=[text()])
        await client.jobs.update_status(made.job.id, JobStatus.PROCESSING)
        job_id, step_id = made.job.id, made.step.id
        writers = [
            lambda n: client.jobs.update_progress(job_id, n),
            lambda n: client.timeline.update_progress(step_id, n),
            lambda n: client.timeline.start(job_id, ProcessingStep.UPLOAD, details={"n": n}),
            lambda n: client.timeline.start(job_id, ProcessingStep.VALIDATION, details={"n": n}),
        ]

        await asyncio.gather(*(write(n) for n in range(15) for write in writers))

        events = await client.events.read(job_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
