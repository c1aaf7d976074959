"""The types that checkers infer for users of the client. Never run: `make check` and test_api read it."""

from collections.abc import Coroutine
from typing import Any, assert_type
from uuid import UUID

from reelbase import (
    AsyncReelbase,
    Element,
    ElementSpec,
    Job,
    JobEvent,
    JobPage,
    JobStatus,
    ProcessingStep,
    Reelbase,
    TimelineStep,
    VideoJob,
)
from reelbase.realtime.stream import AsyncEventStream, EventStream


def synchronous(client: Reelbase, job_id: UUID, element: ElementSpec) -> None:
    assert_type(client.jobs.get(job_id), Job)
    assert_type(client.jobs.list(status=[JobStatus.PENDING]), JobPage)
    assert_type(client.jobs.create("mp4", 64, 64), Job)
    assert_type(client.jobs.create_video("mp4", 64, 64, elements=[element]), VideoJob)
    assert_type(client.elements.add(job_id, element), Element)
    assert_type(client.elements.list(job_id), list[Element])
    assert_type(client.timeline.start(job_id, ProcessingStep.UPLOAD), TimelineStep)
    assert_type(client.timeline.get(job_id), list[TimelineStep])
    assert_type(client.events.read(job_id), list[JobEvent])
    assert_type(client.jobs.watch(job_id), EventStream)
    for event in client.jobs.watch(job_id):
        assert_type(event, JobEvent)


async def asynchronous(client: AsyncReelbase, job_id: UUID, element: ElementSpec) -> None:
    getting = client.jobs.get(job_id)
    _ = assert_type(getting, Coroutine[Any, Any, Job])
    assert_type(await getting, Job)
    assert_type(await client.jobs.list(), JobPage)
    assert_type(await client.elements.add(job_id, element), Element)
    assert_type(await client.timeline.get(job_id), list[TimelineStep])
    assert_type(client.jobs.watch(job_id), AsyncEventStream)
    async for event in client.jobs.watch(job_id):
        assert_type(event, JobEvent)


def refused(client: Reelbase, job_id: UUID) -> None:
    """Each ignore must be needed: warn_unused_ignores is on."""
    client.jobs.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.jobs.get("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.jobs.update_status(job_id, "done")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
