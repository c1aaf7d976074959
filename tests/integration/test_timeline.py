"""The processing timeline over real HTTP, in both modes."""

from uuid import uuid4

import pytest

from reelbase import Conflict, InvalidArgument, Job, JobStatus, NotFound, ProcessingStep
from support import AnyClient, Target, done, text


async def processing(client: AnyClient) -> Job:
    job = await done(client.jobs.create("mp4", 640, 360))
    return await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))


async def test_steps__are_kept_in_order_with_what_they_cost(client: AnyClient) -> None:
    job = await processing(client)

    first = await done(client.timeline.start(job.id, ProcessingStep.DOWNLOAD, details={"files": 2}))
    await done(client.timeline.update_progress(first.id, 50, details={"bytes": 10}))
    ended = await done(
        client.timeline.complete(first.id, details={"bytes": 20}, cpu_usage=150.5, memory_usage=2**33)
    )
    second = await done(client.timeline.start(job.id, ProcessingStep.ENCODING))

    assert (ended.success, ended.progress_percentage) == (True, 100)
    assert ended.details == {"files": 2, "bytes": 20}
    assert (float(ended.cpu_usage), ended.memory_usage) == (150.5, 2**33)
    assert ended.duration_ms == round((ended.completed_at - ended.started_at).total_seconds() * 1000)
    assert (first.step_order, second.step_order) == (0, 1)
    assert await done(client.timeline.get(job.id)) == [ended, second]
    assert (await done(client.jobs.get(job.id))).current_step is ProcessingStep.ENCODING


async def test_start__takes_over_the_open_step_of_its_kind(client: AnyClient) -> None:
    made = await done(client.jobs.create_video("mp4", 640, 360, elements=[text()]))
    await done(client.timeline.update_progress(made.step.id, 40))

    again = await done(client.timeline.start(made.job.id, ProcessingStep.VALIDATION, details={"by": "w2"}))

    assert (again.id, again.progress_percentage, again.details) == (made.step.id, 0, {"by": "w2"})
    assert again.started_at > made.step.started_at
    assert len(await done(client.timeline.get(made.job.id))) == 1


async def test_start__after_a_completed_one_is_a_new_attempt(client: AnyClient) -> None:
    job = await processing(client)
    first = await done(client.timeline.start(job.id, ProcessingStep.UPLOAD))
    await done(client.timeline.complete(first.id, success=False, error_message="Disk full."))

    second = await done(client.timeline.start(job.id, ProcessingStep.UPLOAD))

    timeline = await done(client.timeline.get(job.id))
    assert [(s.id, s.success, s.error_message) for s in timeline] == [
        (first.id, False, "Disk full."),
        (second.id, None, None),
    ]


async def test_start__refuses_a_place_that_is_taken(client: AnyClient) -> None:
    job = await processing(client)
    await done(client.timeline.start(job.id, ProcessingStep.DOWNLOAD, step_order=0))

    with pytest.raises(Conflict) as caught:
        await done(client.timeline.start(job.id, ProcessingStep.UPLOAD, step_order=0))

    assert caught.value.error == "order_taken"


async def test_complete__twice_is_refused_and_changes_nothing(client: AnyClient) -> None:
    job = await processing(client)
    step = await done(client.timeline.start(job.id, ProcessingStep.DOWNLOAD))
    ended = await done(client.timeline.complete(step.id))

    with pytest.raises(Conflict, match="The step download was completed") as caught:
        await done(client.timeline.complete(step.id, success=False, error_message="no"))
    with pytest.raises(Conflict):
        await done(client.timeline.update_progress(step.id, 5))

    assert caught.value.error == "step_completed"
    assert await done(client.timeline.get(job.id)) == [ended]


async def test_complete__gives_an_error_to_failures_only(client: AnyClient) -> None:
    job = await processing(client)
    step = await done(client.timeline.start(job.id, ProcessingStep.DOWNLOAD))

    with pytest.raises(InvalidArgument, match="belongs to a step that failed"):
        await done(client.timeline.complete(step.id, success=True, error_message="odd"))

    assert (await done(client.timeline.get(job.id)))[0].success is None


async def test_open_step__of_a_job_that_completes_is_complete(client: AnyClient) -> None:
    job = await processing(client)
    await done(client.timeline.start(job.id, ProcessingStep.ENCODING))

    await done(client.jobs.update_status(job.id, JobStatus.COMPLETED))

    step = (await done(client.timeline.get(job.id)))[0]
    assert (step.success, step.progress_percentage, step.error_message) == (True, 100, None)


async def test_duration__is_never_negative_however_transactions_interleave(target: Target) -> None:
    """A step that was started again after a slow transaction had begun."""
    with target.connect() as slow, target.connect() as quick:
        query = "select ((create_video_job('mp4', 64, 64, %s)).step).id"
        elements = '[{"type": "text", "text_content": "x"}]'
        step_id = quick.execute(query, (elements,)).fetchone()
        with slow.transaction():
            slow.execute("select now()")
            quick.execute(
                "select start_processing_step(job_id, 'validation') from processing_timeline where id = %s",
                step_id,
            )
            row = slow.execute(
                "select duration_ms >= 0 from complete_processing_step(%s)", step_id
            ).fetchone()

    assert row == (True,)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.PENDING])
async def test_open_steps__are_closed_when_their_job_stops(client: AnyClient, status: JobStatus) -> None:
    job = await processing(client)
    await done(client.timeline.start(job.id, ProcessingStep.ENCODING))

    await done(client.jobs.update_status(job.id, status))

    step = (await done(client.timeline.get(job.id)))[0]
    assert (step.success, step.error_message) == (False, f"The job became {status}.")
    assert step.completed_at is not None


async def test_start__needs_a_job_that_has_not_ended(client: AnyClient) -> None:
    job = await processing(client)
    await done(client.jobs.update_status(job.id, JobStatus.FAILED))

    with pytest.raises(Conflict) as caught:
        await done(client.timeline.start(job.id, ProcessingStep.CLEANUP))

    assert caught.value.error == "job_finished"


async def test_of_what_does_not_exist__is_not_found(client: AnyClient) -> None:
    with pytest.raises(NotFound):
        await done(client.timeline.start(uuid4(), ProcessingStep.CLEANUP))
    with pytest.raises(NotFound):
        await done(client.timeline.complete(uuid4()))
    with pytest.raises(NotFound):
        await done(client.timeline.get(uuid4()))
