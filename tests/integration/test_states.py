"""The state machine: every pair of states, one after the other and by two sessions at once."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import product

import psycopg
import pytest

from reelbase import AsyncReelbase, InvalidTransition, Job, JobStatus
from support import Target, eventually

STATES = list(JobStatus)
ALLOWED = {
    (JobStatus.PENDING, JobStatus.PROCESSING),
    (JobStatus.PENDING, JobStatus.CANCELLED),
    (JobStatus.PENDING, JobStatus.FAILED),
    (JobStatus.PENDING, JobStatus.TIMEOUT),
    (JobStatus.PROCESSING, JobStatus.COMPLETED),
    (JobStatus.PROCESSING, JobStatus.FAILED),
    (JobStatus.PROCESSING, JobStatus.CANCELLED),
    (JobStatus.PROCESSING, JobStatus.TIMEOUT),
    (JobStatus.PROCESSING, JobStatus.PENDING),
    (JobStatus.FAILED, JobStatus.PENDING),
    (JobStatus.TIMEOUT, JobStatus.PENDING),
}

MakeJob = Callable[[JobStatus], Awaitable[Job]]


@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
async def test_every_pair__is_allowed_or_refused(
    service: AsyncReelbase, in_status: MakeJob, before: JobStatus, after: JobStatus
) -> None:
    job = await in_status(before)

    if (before, after) in ALLOWED:
        assert (await service.jobs.update_status(job.id, after)).status is after
    else:
        with pytest.raises(InvalidTransition):
            await service.jobs.update_status(job.id, after)
        assert await service.jobs.get(job.id) == job


@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
async def test_every_pair__holds_for_a_direct_update_too(
    in_status: MakeJob,
    database: psycopg.Connection[tuple[object, ...]],
    before: JobStatus,
    after: JobStatus,
) -> None:
    job = await in_status(before)
    statement = "update jobs set status = %s where id = %s returning status"

    if (before, after) in ALLOWED or before is after:
        assert database.execute(statement, (after, job.id)).fetchone() == (after,)
    else:
        with pytest.raises(psycopg.Error, match=f"A job that is {before} cannot become {after}") as caught:
            database.execute(statement, (after, job.id))
        assert caught.value.sqlstate == "PT409"


@pytest.mark.parametrize(
    "change",
    [
        "progress_percentage = 3",
        "current_step = 'upload'",
        "output_url = 'https://example.com'",
        "error_message = 'No.'",
    ],
)
@pytest.mark.parametrize("status", [s for s in STATES if s not in {JobStatus.PENDING, JobStatus.PROCESSING}])
async def test_job_that_ended__is_frozen_on_every_path(
    in_status: MakeJob, database: psycopg.Connection[tuple[object, ...]], status: JobStatus, change: str
) -> None:
    job = await in_status(status)

    with pytest.raises(psycopg.Error, match="nothing of it changes any more") as caught:
        database.execute(f"update jobs set {change} where id = %s".encode(), (job.id,))  # noqa: S608
    with pytest.raises(psycopg.Error, match="no step can start"):
        database.execute(
            "insert into processing_timeline (job_id, step, step_order) values (%s, 'upload', 9)", (job.id,)
        )
    assert caught.value.sqlstate == "PT409"


async def test_progress__follows_its_rules_on_every_path(
    in_status: MakeJob, database: psycopg.Connection[tuple[object, ...]]
) -> None:
    waiting = await in_status(JobStatus.PENDING)
    working = await in_status(JobStatus.PROCESSING)
    change = "update jobs set progress_percentage = %s where id = %s returning progress_percentage"

    with pytest.raises(psycopg.Error, match="makes no progress"):
        database.execute(change, (5, waiting.id))
    assert database.execute(change, (40, working.id)).fetchone() == (40,)
    assert database.execute(change, (30, working.id)).fetchone() == (40,)


@pytest.mark.parametrize("second", STATES)
@pytest.mark.parametrize(("before", "first"), sorted(ALLOWED))
async def test_two_sessions_at_once__act_as_if_one_came_first(
    target: Target, in_status: MakeJob, before: JobStatus, first: JobStatus, second: JobStatus
) -> None:
    """The second waits for the first one's transaction and is then judged by its result."""
    job = await in_status(before)
    statement = "select status from update_job_status(%s, %s)"

    with target.connect() as one, target.connect() as two:
        with one.transaction():
            one.execute(statement, (job.id, first))
            waiting = asyncio.create_task(asyncio.to_thread(two.execute, statement, (job.id, second)))
            await eventually(lambda: is_blocked(one, two.info.backend_pid))
        outcome = (await asyncio.gather(waiting, return_exceptions=True))[0]

        final = one.execute("select status from jobs where id = %s", (job.id,)).fetchone()
    if (first, second) in ALLOWED:
        assert final == (second,)
    else:
        assert isinstance(outcome, psycopg.Error)
        assert outcome.sqlstate == "PT409"
        assert final == (first,)


def is_blocked(connection: psycopg.Connection[tuple[object, ...]], pid: int) -> None:
    row = connection.execute("select cardinality(pg_blocking_pids(%s)) > 0", (pid,)).fetchone()
    assert row == (True,)


async def test_many_takers__one_gets_the_job(own_target: Target) -> None:
    async with own_target.service() as client:
        for _ in range(10):
            job = await client.jobs.create("mp4", 64, 64)
            outcomes = await asyncio.gather(
                *(client.jobs.update_status(job.id, JobStatus.PROCESSING) for _ in range(8)),
                return_exceptions=True,
            )
            assert sum(isinstance(outcome, Job) for outcome in outcomes) == 1
            assert sum(isinstance(outcome, InvalidTransition) for outcome in outcomes) == 7
