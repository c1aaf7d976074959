"""The worker against a real database: takes jobs, renders them, and tells what went wrong."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from proxy import Proxy
from reelbase import (
    AsyncReelbase,
    ClaimOutcome,
    ElementState,
    ElementUpdated,
    EventType,
    Job,
    JobStatus,
    PermissionDenied,
    ProcessingStep,
)
from reelbase.worker import worker as worker_module
from reelbase.worker.media import probe
from reelbase.worker.pipeline import Workplace
from reelbase.worker.samples import make_samples
from reelbase.worker.worker import Worker
from support import Target, eventually, text

pytestmark = pytest.mark.local_stack

Submit = Callable[..., Awaitable[Job]]
Encoding = Callable[[Job], Awaitable[None]]


async def test_job__is_rendered_and_recorded_step_by_step(
    backend: AsyncReelbase, worker: Worker, workplace: Workplace, submitted: Submit, tmp_path: Path
) -> None:
    source = (await make_samples(tmp_path))[0]
    job = await submitted(source.as_uri(), text("Hi", track=1))

    assert await worker.run(max_jobs=1) == 1

    job = await backend.jobs.get(job.id)
    timeline = await backend.timeline.get(job.id)
    video = workplace.output_dir / f"{job.id}.mp4"
    media = probe(video)
    assert (job.status, job.progress_percentage) == (JobStatus.COMPLETED, 100)
    assert (job.output_url, job.output_size) == (video.as_uri(), video.stat().st_size)
    assert (media.width, media.height) == (128, 72)
    assert media.duration == pytest.approx(0.5, abs=0.05)
    assert [step.step for step in timeline] == list(ProcessingStep)
    assert all(step.success and step.progress_percentage == 100 for step in timeline)
    assert all(step.cpu_usage is not None and step.memory_usage for step in timeline)
    (claim,) = (await backend.jobs.get_with_details(job.id)).claims or ()
    assert claim.worker == f"{socket.gethostname()}-{os.getpid()}"


async def test_elements__tell_how_far_they_are(
    backend: AsyncReelbase, worker: Worker, submitted: Submit, tmp_path: Path
) -> None:
    source = (await make_samples(tmp_path))[2]
    job = await submitted(source.as_uri(), text("Hi", track=1))

    await worker.run(max_jobs=1)

    picture, words = await backend.elements.list(job.id)
    assert (picture.processing_state, picture.downloaded) == (ElementState.PROCESSED, True)
    assert (picture.source_size, picture.local_path is not None) == (source.stat().st_size, True)
    assert (words.processing_state, words.downloaded) == (ElementState.PROCESSED, False)
    updates = [
        event.data.processing_state
        for event in await backend.events.read(job.id, types=[EventType.ELEMENT_UPDATED])
        if isinstance(event, ElementUpdated)
    ]
    assert updates == ["downloaded", "processed", "processed"]


async def test_progress__rises_with_the_steps_to_the_end(
    backend: AsyncReelbase, worker: Worker, submitted: Submit
) -> None:
    job = await submitted(text())

    await worker.run(max_jobs=1)

    told = [
        event.progress_percentage
        for event in await backend.events.read(job.id, types=[EventType.JOB_PROGRESS, EventType.JOB_STATUS])
    ]
    assert told == sorted(told)
    # What each step has reached at its end: see `private.step_weights`.
    assert {0, 2, 12, 20, 22, 92, 98, 100} <= set(told)


@pytest.mark.parametrize(
    ("name", "content", "code", "step"),
    [
        ("missing.mp4", None, "source_missing", ProcessingStep.VALIDATION),
        ("notes.mp4", b"not a video", "source_unreadable", ProcessingStep.PROCESSING),
    ],
)
async def test_bad_source__fails_job_and_step_readably(
    backend: AsyncReelbase,
    worker: Worker,
    submitted: Submit,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    code: str,
    step: ProcessingStep,
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    job = await submitted(text(), (tmp_path / name).as_uri())

    await worker.run(max_jobs=1)

    job = await backend.jobs.get(job.id)
    last = (await backend.timeline.get(job.id))[-1]
    assert (job.status, job.error_code) == (JobStatus.FAILED, code)
    assert job.error_message is not None
    assert name in job.error_message
    assert "Element 1" in job.error_message
    assert job.error_details["element_order"] == 1
    assert (last.step, last.success, last.error_message) == (step, False, job.error_message)
    element = (await backend.elements.list(job.id))[1]
    assert (element.processing_state, element.error_message) == (ElementState.FAILED, job.error_message)


async def test_source_outside_the_allowed_directories__is_refused(
    backend: AsyncReelbase, worker: Worker, submitted: Submit
) -> None:
    job = await submitted("file:///etc/passwd")

    await worker.run(max_jobs=1)

    assert (await backend.jobs.get(job.id)).error_code == "source_forbidden"


async def test_many_workers__render_each_job_once(
    backend: AsyncReelbase, workplace: Workplace, submitted: Submit
) -> None:
    jobs = [await submitted(text(str(n))) for n in range(4)]
    workers = [Worker(backend, workplace, name=f"worker {n}", poll_interval=0.05) for n in range(3)]
    running = [asyncio.create_task(worker.run()) for worker in workers]

    async def all_completed() -> None:
        assert {(await backend.jobs.get(job.id)).status for job in jobs} == {JobStatus.COMPLETED}

    await eventually(all_completed, seconds=60)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)

    for job in jobs:
        details = await backend.jobs.get_with_details(job.id)
        assert len(details.timeline) == len(ProcessingStep)
        assert [claim.outcome for claim in details.claims or ()] == [ClaimOutcome.COMPLETED]


async def test_cancelled_worker__gives_its_job_back(
    backend: AsyncReelbase, worker: Worker, long_job: Job, encoding: Encoding
) -> None:
    running = asyncio.create_task(worker.run())
    await encoding(long_job)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    given_back = await backend.jobs.get(long_job.id)
    assert (given_back.status, given_back.current_step) == (JobStatus.PENDING, None)
    assert [s.success for s in await backend.timeline.get(long_job.id)] == [True, True, True, True, False]


async def test_outage_while_rendering__delays_reports_and_loses_none(
    own_target: Target,
    backend: AsyncReelbase,
    workplace: Workplace,
    submitted: Submit,
    encoding: Encoding,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = (await make_samples(tmp_path))[0]
    job = await submitted(source.as_uri(), width=1920, height=1080, estimated_duration=4)

    async with (
        Proxy(own_target.url) as proxy,
        AsyncReelbase(proxy.url, own_target.service_role_key, timeout=2) as client,
    ):
        running = asyncio.create_task(Worker(client, workplace).run(max_jobs=1))
        await encoding(job)
        await proxy.cut()
        # Long enough for the encoder to end and for its end to be reported in vain.
        await eventually(lambda: told_in_vain(caplog), seconds=30)
        await proxy.restore()
        await running

    assert (await backend.jobs.get(job.id)).status is JobStatus.COMPLETED
    assert all(step.success for step in await backend.timeline.get(job.id))


def told_in_vain(caplog: pytest.LogCaptureFixture) -> None:
    assert "A report is repeated" in caplog.text


async def test_worker_without_the_rights__says_so_at_once(own_target: Target, workplace: Workplace) -> None:
    async with own_target.anonymous() as client:
        with pytest.raises(PermissionDenied):
            await Worker(client, workplace).run()


async def test_worker_stopped_while_the_database_is_away__ends_in_time(
    own_target: Target,
    workplace: Workplace,
    long_job: Job,
    encoding: Encoding,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(worker_module, "_FAREWELL", 0.5)

    async with (
        Proxy(own_target.url) as proxy,
        AsyncReelbase(proxy.url, own_target.service_role_key, timeout=2) as client,
    ):
        running = asyncio.create_task(Worker(client, workplace).run())
        await encoding(long_job)
        await proxy.cut()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 10)

    assert "could not be given back" in caplog.text


async def test_job_that_takes_too_long__fails_for_good(
    backend: AsyncReelbase, long_job: Job, tmp_path: Path
) -> None:
    hasty = Workplace(tmp_path / "videos", allowed_dirs=(tmp_path,), time_limit=1)

    await Worker(backend, hasty).run(max_jobs=1)

    job = await backend.jobs.get(long_job.id)
    assert (job.status, job.error_code) == (JobStatus.FAILED, "time_limit")
    assert job.error_message == "The video was not ready after 1 seconds."


async def test_error_of_the_worker_s_own__is_tried_again(
    backend: AsyncReelbase, worker: Worker, submitted: Submit, workplace: Workplace
) -> None:
    workplace.output_dir.write_text("This is no directory.")
    job = await submitted(text())

    await worker.run(max_jobs=1)

    details = await backend.jobs.get_with_details(job.id)
    assert (details.job.status, details.job.retry_count) == (JobStatus.PENDING, 1)
    assert [claim.error_code for claim in details.claims or ()] == ["worker_error"]
