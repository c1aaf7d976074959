"""Every event of a whole life of a job is of its class, with typed data, read and live."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from reelbase import (
    AttemptFailed,
    ClaimOutcome,
    ElementAdded,
    ElementRemoved,
    ElementState,
    ElementType,
    ElementUpdated,
    Job,
    JobCreated,
    JobCreatedData,
    JobEvent,
    JobPaused,
    JobProgressed,
    JobResumed,
    JobStatus,
    JobStatusChanged,
    JobStatusData,
    ProcessingStep,
    StepCompleted,
    StepProgressed,
    StepStarted,
    StorageOperationLogged,
    StorageOperationType,
    UrlAccessed,
)
from reelbase.client import AsyncReelbase
from support import Target, eventually, text

URL = "https://videos.example/a.mp4"


@pytest.fixture
async def backend(own_target: Target) -> AsyncIterator[AsyncReelbase]:
    async with own_target.service() as client:
        yield client


async def live(backend: AsyncReelbase, job: Job) -> None:
    """A life with all that a job can meet, to its end."""
    first, second = await backend.elements.add_many(job.id, [text(track=2), text()])
    await backend.elements.delete(second.id)
    await backend.queue.pause_job(job.id)
    await backend.queue.resume_job(job.id)
    claim = await claimed(backend, job)
    await backend.queue.fail(job.id, claim, "no_codec", "There is no codec.", retry_in=timedelta(0))
    claim = await claimed(backend, job)
    await backend.queue.release(job.id, claim)
    claim = await claimed(backend, job)
    await backend.elements.update_status(first.id, processed=True, claim=claim)
    step = await backend.timeline.start(job.id, ProcessingStep.ENCODING, claim=claim)
    await backend.timeline.update_progress(step.id, Decimal("62.5"), claim=claim)
    await backend.timeline.complete(step.id, cpu_usage=Decimal("150.5"), memory_usage=4096, claim=claim)
    await backend.timeline.start(job.id, ProcessingStep.UPLOAD, claim=claim)
    await backend.storage.log(StorageOperationType.UPLOAD, "videos", "a.mp4", job_id=job.id, file_size=9000)
    await backend.access.log(job.id, URL, status_code=206, country="DE", bytes_sent=100)
    await backend.queue.fail(job.id, claim, "disk_full", "The disk is full.", retryable=False)


async def claimed(backend: AsyncReelbase, job: Job) -> int:
    (taken,) = await backend.queue.claim("test")
    assert taken.job.id == job.id
    return taken.claim


STORY: list[type[JobEvent]] = [
    ElementAdded,
    ElementAdded,
    ElementRemoved,
    JobPaused,
    JobResumed,
    JobStatusChanged,
    AttemptFailed,
    JobStatusChanged,
    JobStatusChanged,
    JobStatusChanged,
    ElementUpdated,
    StepStarted,
    StepProgressed,
    JobProgressed,
    StepCompleted,
    JobProgressed,
    StepStarted,
    StorageOperationLogged,
    UrlAccessed,
    StepCompleted,
    AttemptFailed,
]


def assert_told(events: Sequence[JobEvent]) -> None:
    """The events of the life, each of its class with what it has to say."""
    assert [type(event) for event in events] == STORY
    _, _, removed, *_ = events
    assert (removed.data.type, removed.data.element_order) == (ElementType.TEXT, 1)
    retried, released = events[6].data, events[8].data
    assert (retried.from_status, retried.attempt) == (JobStatus.PROCESSING, ClaimOutcome.RETRIED)
    assert (retried.error_code, retried.error_message) == ("no_codec", "There is no codec.")
    assert (retried.retry_count, retried.rescue_count) == (1, 0)
    assert retried.available_at.tzinfo is not None
    assert (released.attempt, released.error_code) == (ClaimOutcome.RELEASED, None)
    assert (events[10].data.processing_state, events[10].data.track) == (ElementState.PROCESSED, 2)
    assert (events[12].data.progress_percentage, events[12].data.success) == (Decimal("62.5"), None)
    encoded, stored, accessed, interrupted, failed = (events[n] for n in (14, 17, 18, 19, 20))
    assert (encoded.data.step, encoded.data.success) == (ProcessingStep.ENCODING, True)
    assert (encoded.data.cpu_usage, encoded.data.memory_usage) == (Decimal("150.5"), 4096)
    assert (stored.data.operation, stored.data.file_size) == (StorageOperationType.UPLOAD, 9000)
    assert (accessed.data.status_code, accessed.data.country, accessed.data.bytes_sent) == (206, "DE", 100)
    assert (interrupted.data.success, interrupted.data.error_message) == (False, "The disk is full.")
    assert (failed.status, failed.data.error_code, failed.is_terminal) == (
        JobStatus.FAILED,
        "disk_full",
        True,
    )


async def test_life__is_told_in_classes(backend: AsyncReelbase) -> None:
    job = await backend.jobs.create("mp4", 1280, 720)

    await live(backend, job)
    await backend.jobs.retry(job.id)
    await backend.queue.complete(
        job.id, await claimed(backend, job), output_url=URL, output_size=9000, actual_duration=Decimal("2.04")
    )

    created, *events, retried, reset, taken, completed = await backend.events.read(job.id)
    assert type(created) is JobCreated
    assert created.data == JobCreatedData(output_format="mp4", width=1280, height=720)
    assert_told(events)
    assert {type(event) for event in (retried, taken, completed)} == {JobStatusChanged}
    assert type(reset) is ElementUpdated
    assert retried.data == JobStatusData(from_status=JobStatus.FAILED)
    assert completed.data == JobStatusData(
        from_status=JobStatus.PROCESSING, output_url=URL, output_size=9000, actual_duration=Decimal("2.04")
    )


async def test_cancelled_job__has_not_failed(backend: AsyncReelbase) -> None:
    job = await backend.jobs.create("mp4", 64, 64)
    await backend.jobs.cancel(job.id, reason="Not needed.")

    _, cancelled = await backend.events.read(job.id)

    assert type(cancelled) is JobStatusChanged
    assert cancelled.data.error_message == "Not needed."


async def test_life__is_told_live_as_in_the_log(backend: AsyncReelbase) -> None:
    job = await backend.jobs.create("mp4", 64, 64)
    stream = backend.jobs.watch(job.id)

    async def watch() -> list[JobEvent]:
        return [event async for event in stream]

    async def is_pushed() -> None:
        await backend.queue.pause_job(job.id)
        await backend.queue.resume_job(job.id)
        assert stream.counts.pushed > 0

    watching = asyncio.create_task(watch())
    await eventually(is_pushed)
    begun = (await backend.jobs.get(job.id)).event_seq
    await live(backend, job)

    async with asyncio.timeout(20):
        events = await watching
    assert events == await backend.events.read(job.id)
    assert events == [event async for event in backend.events.read_all() if event.job_id == job.id]
    assert_told(events[begun:])
