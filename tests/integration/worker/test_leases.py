"""What happens to a job when its worker dies, is cut off, or is no longer wanted."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from proxy import Proxy
from reelbase import (
    AsyncReelbase,
    ClaimedJob,
    ClaimOutcome,
    ElementState,
    Job,
    JobClaim,
    JobStatus,
    LeaseLost,
)
from reelbase.worker import recording
from reelbase.worker.pipeline import Workplace
from reelbase.worker.samples import make_samples
from reelbase.worker.worker import Worker
from support import Target, eventually, text

pytestmark = pytest.mark.local_stack

Submit = Callable[..., Awaitable[Job]]
Encoding = Callable[[Job], Awaitable[None]]

SHORT = timedelta(seconds=1)


async def claims(client: AsyncReelbase, job: Job) -> list[JobClaim]:
    return list((await client.jobs.get_with_details(job.id)).claims or ())


async def outcomes(client: AsyncReelbase, job: Job) -> list[ClaimOutcome | None]:
    return [claim.outcome for claim in await claims(client, job)]


async def taken_over(target: Target, client: AsyncReelbase) -> ClaimedJob:
    """The job of the only claim, taken by somebody else as if its worker had fallen silent."""
    with target.connect() as session:
        session.execute("update job_claims set lease_expires_at = now() where ended_at is null")
    return (await client.queue.claim("another"))[0]


def encoders() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "ffmpeg" in child.name()]


@contextmanager
def worker_process(target: Target, tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    settings = {"SUPABASE_URL": target.url, "SUPABASE_SERVICE_ROLE_KEY": target.service_role_key}
    command = [sys.executable, "-m", "reelbase", "worker", "--allow-dir", str(tmp_path), *arguments]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, cwd=tmp_path, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


async def test_killed_worker__leaves_its_job_to_another_and_no_ffmpeg(
    own_target: Target,
    backend: AsyncReelbase,
    worker: Worker,
    submitted: Submit,
    tmp_path: Path,
    encoding: Encoding,
) -> None:
    source = (await make_samples(tmp_path))[0].as_uri()
    job = await submitted(source, width=1280, height=720, estimated_duration=8)
    with worker_process(own_target, tmp_path, "--lease", "1", "--name", "mortal") as process:
        await encoding(job)
        started = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(10)

    assert psutil.wait_procs(started, timeout=10)[1] == []
    await worker.run(max_jobs=1)

    job = await backend.jobs.get(job.id)
    assert (job.status, job.rescue_count, job.retry_count) == (JobStatus.COMPLETED, 1, 0)
    assert [(claim.outcome, claim.worker == "mortal") for claim in await claims(backend, job)] == [
        (ClaimOutcome.RESCUED, True),
        (ClaimOutcome.COMPLETED, False),
    ]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
async def test_stopped_worker__gives_its_job_back(
    own_target: Target,
    backend: AsyncReelbase,
    tmp_path: Path,
    long_job: Job,
    encoding: Encoding,
    ending: signal.Signals,
) -> None:
    with worker_process(own_target, tmp_path) as process:
        await encoding(long_job)
        process.send_signal(ending)
        assert await asyncio.to_thread(process.wait, 20) == 130

    job = await backend.jobs.get(long_job.id)
    assert (job.status, job.retry_count) == (JobStatus.PENDING, 0)
    assert await outcomes(backend, job) == [ClaimOutcome.RELEASED]


async def test_stopped_while_claiming__gives_back_what_arrives(
    own_target: Target, backend: AsyncReelbase, workplace: Workplace, submitted: Submit
) -> None:
    job = await submitted(text())

    async def connected() -> None:
        assert proxy.connections == 1

    async with (
        Proxy(own_target.url) as proxy,
        AsyncReelbase(proxy.url, own_target.service_role_key) as client,
    ):
        proxy.stall()
        running = asyncio.create_task(Worker(client, workplace).run())
        await eventually(connected)
        running.cancel()
        await asyncio.sleep(0)
        proxy.flow()
        with pytest.raises(asyncio.CancelledError):
            await running

    assert (await backend.jobs.get(job.id)).status is JobStatus.PENDING
    assert await outcomes(backend, job) == [ClaimOutcome.RELEASED]


@pytest.mark.parametrize("way", ["report", "heartbeat"])
async def test_job_called_off__stops_ffmpeg_soon(
    backend: AsyncReelbase,
    workplace: Workplace,
    long_job: Job,
    encoding: Encoding,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    if way == "heartbeat":
        monkeypatch.setattr(recording, "_REPORT_INTERVAL", 1e9)
    lease = SHORT if way == "heartbeat" else timedelta(minutes=1)
    running = asyncio.create_task(Worker(backend, workplace, lease=lease).run(max_jobs=1))
    await encoding(long_job)
    await eventually(lambda: is_true(encoders()))

    await backend.jobs.cancel(long_job.id, reason="Changed my mind.")

    assert await asyncio.wait_for(running, 20) == 1
    assert encoders() == []
    assert not list(workplace.output_dir.glob("*"))
    job = await backend.jobs.get(long_job.id)
    assert (job.status, job.error_message) == (JobStatus.CANCELLED, "Changed my mind.")
    assert await outcomes(backend, job) == [ClaimOutcome.CANCELLED]


async def test_pause__gives_the_job_back_until_it_is_resumed(
    backend: AsyncReelbase, workplace: Workplace, long_job: Job, encoding: Encoding, submitted: Submit
) -> None:
    running = asyncio.create_task(Worker(backend, workplace, lease=SHORT, poll_interval=0.05).run())
    await encoding(long_job)

    await backend.queue.pause_job(long_job.id)
    # The worker goes on with what else there is.
    other = await submitted(text())
    await eventually(lambda: has_status(backend, other, JobStatus.COMPLETED), seconds=30)

    paused = await backend.jobs.get(long_job.id)
    assert (paused.status, paused.paused_at is not None) == (JobStatus.PENDING, True)
    assert await outcomes(backend, paused) == [ClaimOutcome.RELEASED]

    await backend.queue.resume_job(long_job.id)
    await eventually(lambda: has_status(backend, long_job, JobStatus.PROCESSING))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await outcomes(backend, paused) == [ClaimOutcome.RELEASED, ClaimOutcome.RELEASED]


async def test_job_lost_to_another__is_given_up(
    own_target: Target, backend: AsyncReelbase, workplace: Workplace, long_job: Job, encoding: Encoding
) -> None:
    running = asyncio.create_task(Worker(backend, workplace).run(max_jobs=1))
    await encoding(long_job)

    other = await taken_over(own_target, backend)

    assert await asyncio.wait_for(running, 20) == 1
    assert encoders() == []
    job = await backend.jobs.get(long_job.id)
    assert (job.status, job.progress_percentage) == (JobStatus.PROCESSING, other.job.progress_percentage)
    assert await outcomes(backend, job) == [ClaimOutcome.RESCUED, None]


async def test_job_lost_during_an_outage__is_given_up_quietly(
    own_target: Target,
    backend: AsyncReelbase,
    workplace: Workplace,
    long_job: Job,
    encoding: Encoding,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def rescued_and_claimed() -> None:
        assert await backend.queue.claim("another")

    async with (
        Proxy(own_target.url) as proxy,
        AsyncReelbase(proxy.url, own_target.service_role_key, timeout=2) as client,
    ):
        running = asyncio.create_task(Worker(client, workplace, lease=SHORT).run(max_jobs=1))
        await encoding(long_job)
        await proxy.cut()
        await eventually(rescued_and_claimed, seconds=20)
        await proxy.restore()

        assert await asyncio.wait_for(running, 30) == 1

    assert await outcomes(backend, long_job) == [ClaimOutcome.RESCUED, None]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.fixture
async def flaky_source(tmp_path: Path) -> AsyncIterator[Callable[[int], str]]:
    """A web server that answers 503 as often as it is told before it gives a picture."""
    picture = (await make_samples(tmp_path))[2].read_bytes()
    refusals = 0

    async def answer(_request: web.Request) -> web.Response:
        nonlocal refusals
        refusals -= 1
        return web.Response(status=503) if refusals >= 0 else web.Response(body=picture)

    application = web.Application()
    application.router.add_get("/picture.png", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    def source(times: int) -> str:
        nonlocal refusals
        refusals = times
        return f"http://127.0.0.1:{runner.addresses[0][1]}/picture.png"

    yield source
    await runner.cleanup()


@pytest.fixture
def _no_retry_delay(own_target: Target) -> None:
    with own_target.connect() as session:
        session.execute("update private.settings set value = '0' where name = 'retry_delay_seconds'")


@pytest.mark.usefixtures("_no_retry_delay")
async def test_failure_that_passes__is_followed_by_a_success(
    backend: AsyncReelbase, worker: Worker, submitted: Submit, flaky_source: Callable[[int], str]
) -> None:
    job = await submitted(flaky_source(1))

    await worker.run(max_jobs=1)
    waiting, as_new = await backend.jobs.get(job.id), (await backend.elements.list(job.id))[0]
    await worker.run(max_jobs=1)
    ended, element = await backend.jobs.get(job.id), (await backend.elements.list(job.id))[0]

    assert (waiting.status, waiting.retry_count, waiting.error_code) == (JobStatus.PENDING, 1, None)
    assert (as_new.processing_state, as_new.error_message) == (ElementState.PENDING, None)
    assert (ended.status, ended.retry_count) == (JobStatus.COMPLETED, 1)
    assert (element.processing_state, element.error_message) == (ElementState.PROCESSED, None)
    assert element.source_size is not None
    assert [(claim.outcome, claim.error_code) for claim in await claims(backend, job)] == [
        (ClaimOutcome.RETRIED, "download_failed"),
        (ClaimOutcome.COMPLETED, None),
    ]


@pytest.mark.usefixtures("_no_retry_delay")
async def test_failure_that_does_not_pass_in_time__is_for_good(
    backend: AsyncReelbase, worker: Worker, submitted: Submit, flaky_source: Callable[[int], str]
) -> None:
    job = await submitted(flaky_source(9), max_retries=1)

    await worker.run(max_jobs=2)

    job = await backend.jobs.get(job.id)
    assert (job.status, job.error_code, job.retry_count) == (JobStatus.FAILED, "download_failed", 1)
    assert await outcomes(backend, job) == [ClaimOutcome.RETRIED, ClaimOutcome.FAILED]


async def test_stale_worker__changes_nothing(
    own_target: Target, backend: AsyncReelbase, submitted: Submit
) -> None:
    job = await submitted(text())
    stale = (await backend.queue.claim("first"))[0]
    step = (await backend.timeline.get(job.id))[0]
    element = (await backend.elements.list(job.id))[0]
    fresh = await taken_over(own_target, backend)
    before = await backend.jobs.get_with_details(job.id)
    writes = [
        lambda claim: backend.jobs.update_progress(job.id, 50, claim=claim),
        lambda claim: backend.jobs.update_status(job.id, JobStatus.FAILED, claim=claim),
        lambda claim: backend.timeline.start(job.id, step.step, claim=claim),
        lambda claim: backend.timeline.update_progress(step.id, 50, claim=claim),
        lambda claim: backend.timeline.complete(step.id, claim=claim),
        lambda claim: backend.elements.update_status(element.id, processed=True, claim=claim),
        lambda claim: backend.queue.complete(job.id, claim),
        lambda claim: backend.queue.fail(job.id, claim, "odd", "Odd."),
        lambda claim: backend.queue.release(job.id, claim),
    ]

    for write in writes:
        with pytest.raises(LeaseLost):
            await write(stale.claim)

    assert await backend.jobs.get_with_details(job.id) == before
    assert (await backend.queue.complete(job.id, fresh.claim)).status is JobStatus.COMPLETED


def is_true(value: object) -> None:
    assert value


async def has_status(client: AsyncReelbase, job: Job, status: JobStatus) -> None:
    assert (await client.jobs.get(job.id)).status is status
