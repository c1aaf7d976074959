"""Watching a job: every event once, in order, to the end, whatever the connection does."""

import asyncio
import contextlib
import gc
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from live_world import feeding
from proxy import Proxy
from reelbase import (
    AsyncReelbase,
    AuthenticationError,
    ConnectionFailed,
    ConnectionPhase,
    EventsMissing,
    EventType,
    InvalidArgument,
    Job,
    JobEvent,
    JobStatus,
    NotFound,
    ProcessingStep,
    Reelbase,
    ReelbaseError,
)
from reelbase.execution.call import Call
from reelbase.realtime import feed, logs
from reelbase.realtime.watch import Watch
from support import Target, eventually, text

REPORTS = 20


@pytest.fixture
async def backend(own_target: Target) -> AsyncIterator[AsyncReelbase]:
    async with own_target.service() as client:
        yield client


@pytest.fixture
async def job(backend: AsyncReelbase) -> Job:
    made = await backend.jobs.create_video("mp4", 64, 64, elements=[text()])
    return made.job


class Watcher:
    """Collects the events of a job in the background."""

    def __init__(self, client: AsyncReelbase, job: Job) -> None:
        self.events: list[JobEvent] = []
        self.stream = client.jobs.watch(job.id)
        self.task = asyncio.create_task(self._collect())

    async def _collect(self) -> None:
        async for event in self.stream:
            self.events.append(event)

    def has_seen(self, kind: EventType) -> None:
        assert kind in [event.type for event in self.events]


async def work(backend: AsyncReelbase, job: Job) -> None:
    """Take the job to its end."""
    await backend.jobs.update_status(job.id, JobStatus.PROCESSING)
    for n in range(REPORTS):
        await backend.jobs.update_progress(job.id, n + 1)
    await backend.jobs.update_status(job.id, JobStatus.COMPLETED)


def through(proxy: Proxy, target: Target) -> AsyncReelbase:
    return AsyncReelbase(proxy.url, target.service_role_key)


async def assert_complete(backend: AsyncReelbase, job: Job, watcher: Watcher) -> None:
    """The watcher has ended, with the whole log."""
    async with asyncio.timeout(20):
        await watcher.task
    assert watcher.events == await backend.events.read(job.id)
    assert watcher.events[-1].status is JobStatus.COMPLETED


async def test_watch__tells_everything_and_ends(backend: AsyncReelbase, job: Job) -> None:
    watcher = Watcher(backend, job)
    await eventually(lambda: watcher.has_seen(EventType.STEP_STARTED))

    await work(backend, job)

    await assert_complete(backend, job, watcher)


async def test_watch__of_a_job_that_ended_tells_its_story(backend: AsyncReelbase, job: Job) -> None:
    await work(backend, job)
    watcher = Watcher(backend, job)

    await assert_complete(backend, job, watcher)


async def test_watch__after_the_end_ends_at_once(backend: AsyncReelbase, job: Job) -> None:
    await work(backend, job)
    ended = await backend.jobs.get(job.id)

    async with asyncio.timeout(5):
        assert [event async for event in backend.jobs.watch(job.id, after_seq=ended.event_seq)] == []


async def test_watch__after_the_end_tells_what_came_later_and_ends(backend: AsyncReelbase, job: Job) -> None:
    await work(backend, job)
    ended = await backend.jobs.get(job.id)
    await backend.access.log(job.id, "https://videos.example/a.mp4")

    async with asyncio.timeout(5):
        seen = [event async for event in backend.jobs.watch(job.id, after_seq=ended.event_seq)]

    assert [event.type for event in seen] == [EventType.URL_ACCESSED]


async def test_watch__of_a_job_that_was_retried_goes_on_to_its_present_end(
    backend: AsyncReelbase, job: Job
) -> None:
    await backend.jobs.update_status(job.id, JobStatus.PROCESSING)
    await backend.jobs.update_status(job.id, JobStatus.FAILED, error_code="x", error_message="y")
    await backend.jobs.retry(job.id)
    watcher = Watcher(backend, job)
    await eventually(lambda: watcher.has_seen(EventType.JOB_STATUS))

    await work(backend, job)

    await assert_complete(backend, job, watcher)
    again = [event async for event in backend.jobs.watch(job.id)]
    assert again == watcher.events


async def test_watch__of_a_retried_job_that_ended_tells_all_pages_of_its_story(
    backend: AsyncReelbase, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_PAGE", 5)
    await backend.jobs.update_status(job.id, JobStatus.FAILED, error_code="x", error_message="y")
    for _ in range(12):
        await backend.access.log(job.id, "https://videos.example/a.mp4")
    await backend.jobs.retry(job.id)
    await work(backend, job)
    watcher = Watcher(backend, job)

    await assert_complete(backend, job, watcher)


async def test_start__of_a_job_that_has_ended_is_no_error(backend: AsyncReelbase, job: Job) -> None:
    await work(backend, job)
    ended = await backend.jobs.get(job.id)
    async with asyncio.timeout(5), backend.jobs.watch(job.id, after_seq=ended.event_seq) as stream:
        await stream.start()

        assert [event async for event in stream] == []


async def test_stream_of_a_forgotten_guest__ends_with_its_host(own_target: Target, job: Job) -> None:
    async with own_target.service() as host:
        stream = host.as_user(own_target.service_role_key).jobs.watch(job.id)
        gc.collect()
        await stream.start()

    assert stream.connection_state.phase is ConnectionPhase.CLOSED


def test_sync_close__closes_streams(own_target: Target) -> None:
    phases = []
    with Reelbase(own_target.url, own_target.service_role_key) as client:
        job = client.jobs.create("mp4", 64, 64)
        stream = client.jobs.watch(job.id)
        stream.on_connection_state(lambda state: phases.append(state.phase))
        next(stream)

    assert phases[-1] is ConnectionPhase.CLOSED


async def test_watch__resumes_after_a_seq(backend: AsyncReelbase, job: Job) -> None:
    await work(backend, job)

    seen = [event async for event in backend.jobs.watch(job.id, after_seq=10)]

    assert seen == await backend.events.read(job.id, after_seq=10)


async def test_watch__of_an_unknown_job_is_not_found(backend: AsyncReelbase) -> None:
    with pytest.raises(NotFound):
        await anext(backend.jobs.watch(uuid4()))


async def test_watch__with_a_wrong_key_fails_clearly(own_target: Target, job: Job) -> None:
    async with AsyncReelbase(own_target.url, "sb_secret_wrong") as client:
        with pytest.raises(AuthenticationError):
            await anext(client.jobs.watch(job.id))


async def test_watch__by_token_shows_the_one_job(
    own_target: Target, backend: AsyncReelbase, job: Job
) -> None:
    async with own_target.anonymous(watch_job_id=str(job.id)) as viewer:
        watcher = Watcher(viewer, job)
        await eventually(lambda: watcher.has_seen(EventType.JOB_CREATED))

        await work(backend, job)

        await assert_complete(backend, job, watcher)


async def test_events__come_by_push(
    backend: AsyncReelbase, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    """Once live, an event arrives long before the next slow read of the log (ten seconds)."""
    watcher = Watcher(backend, job)
    await eventually(lambda: watcher.has_seen(EventType.STEP_STARTED))
    # The first reads after joining may still bring events: repeat until one comes between two beats.
    await backend.jobs.update_status(job.id, JobStatus.PROCESSING)
    await eventually(lambda: watcher.has_seen(EventType.JOB_STATUS))

    for n in range(5):
        await backend.jobs.update_progress(job.id, n + 1)

        async def arrived(expected: int = n + 1) -> None:
            assert watcher.events[-1].progress_percentage == expected

        await eventually(arrived, seconds=3)
    await watcher.stream.aclose()
    assert caplog.text == ""


async def test_cancelled_wait__is_taken_up_again(backend: AsyncReelbase, job: Job) -> None:
    async with backend.jobs.watch(job.id) as events:
        seen = [await anext(events) for _ in range(job.event_seq)]
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.05)
        await work(backend, job)
        seen += [event async for event in events]

    assert seen == await backend.events.read(job.id)


class Slow:
    """A way to the database that takes its time, and fails at first where it is told to."""

    def __init__(self, client: AsyncReelbase, seconds: float = 0.0) -> None:
        self.calls: Counter[str] = Counter()
        self.failing: deque[ReelbaseError] = deque()
        self.gone = False
        """Whether the job is not found any more."""
        self._client = client
        self._seconds = seconds

    async def carry(self, call: Call[Any]) -> Any:
        self.calls[call.function] += 1
        await asyncio.sleep(self._seconds)
        if call.function == "get_job" and self.calls["get_job"] > 1:
            if self.failing:
                raise self.failing.popleft()
            if self.gone:
                return await self._client.jobs.get(uuid4())
        return await self._client._carry(call)


async def test_short_waits__see_what_a_live_event_makes_of_the_job(
    own_target: Target, backend: AsyncReelbase, job: Job
) -> None:
    slow, waits, seen = Slow(backend, 0.1), 0, []
    async with (
        feeding(slow.carry, own_target.url, own_target.service_role_key) as feeds,
        feeds.open(Watch(job.id)) as stream,
    ):
        await stream.start()
        await work(backend, job)
        with contextlib.suppress(StopAsyncIteration):
            while waits < 300:
                waits += 1
                with contextlib.suppress(TimeoutError):
                    seen.append(await asyncio.wait_for(anext(stream), 0.02))

    assert seen == await backend.events.read(job.id)
    assert seen[-1].job == await backend.jobs.get(job.id)
    assert slow.calls["get_job"] <= 3


async def test_job_that_cannot_be_read_for_a_moment__is_waited_for(
    own_target: Target, backend: AsyncReelbase, job: Job
) -> None:
    slow = Slow(backend)
    slow.failing.extend([ConnectionFailed("away")] * 2)
    async with (
        feeding(slow.carry, own_target.url, own_target.service_role_key) as feeds,
        feeds.open(Watch(job.id, after_seq=job.event_seq)) as stream,
    ):
        await stream.start()
        await backend.jobs.update_status(job.id, JobStatus.FAILED, error_code="x", error_message="It broke.")
        async with asyncio.timeout(20):
            seen = [event async for event in stream]

    assert seen[-1].job == await backend.jobs.get(job.id)
    assert seen[-1].job.error_message == "It broke."


async def test_job_that_is_gone__is_told_as_its_events_know_it(
    own_target: Target, backend: AsyncReelbase, job: Job
) -> None:
    slow = Slow(backend)
    slow.gone = True
    async with (
        feeding(slow.carry, own_target.url, own_target.service_role_key) as feeds,
        feeds.open(Watch(job.id, after_seq=job.event_seq)) as stream,
    ):
        await stream.start()
        await backend.jobs.update_status(job.id, JobStatus.CANCELLED)
        async with asyncio.timeout(20):
            seen = [event async for event in stream]

    assert seen[-1].job.status is JobStatus.CANCELLED
    assert seen[-1].job.event_seq == seen[-1].seq


async def test_log_with_a_hole__is_told_and_not_waited_for(
    own_target: Target, backend: AsyncReelbase, job: Job
) -> None:
    await work(backend, job)
    with own_target.connect() as session:
        session.execute("delete from job_events where job_id = %s and seq < 10", (job.id,))

    with pytest.raises(EventsMissing, match="has no event 1 in its log, which goes on with 10"):
        await anext(backend.jobs.watch(job.id))


async def test_log_that_is_gone__is_told_and_not_waited_for(
    own_target: Target, backend: AsyncReelbase, job: Job
) -> None:
    await work(backend, job)
    with own_target.connect() as session:
        session.execute("delete from job_events where job_id = %s", (job.id,))

    async with asyncio.timeout(5):
        with pytest.raises(EventsMissing, match="has no event 11 in its log, nor any after it"):
            await backend.jobs.watch(job.id, after_seq=10).start()


@pytest.mark.parametrize("after_seq", [-1, 100])
async def test_watch__after_a_seq_that_never_was_is_refused(
    backend: AsyncReelbase, job: Job, after_seq: int
) -> None:
    with pytest.raises(InvalidArgument, match="after_seq must be 0 to"):
        await anext(backend.jobs.watch(job.id, after_seq=after_seq))


@pytest.mark.local_stack
async def test_outage__loses_nothing(own_target: Target, backend: AsyncReelbase, job: Job) -> None:
    async with (
        Proxy(own_target.url) as proxy,
        AsyncReelbase(proxy.url, own_target.service_role_key) as client,
    ):
        watcher = Watcher(client, job)
        await eventually(lambda: watcher.has_seen(EventType.STEP_STARTED))

        await proxy.cut()
        await work(backend, job)
        await proxy.restore()

        await assert_complete(backend, job, watcher)


@pytest.mark.local_stack
async def test_resets_while_working__lose_nothing(
    own_target: Target, backend: AsyncReelbase, job: Job
) -> None:
    async with (
        Proxy(own_target.url) as proxy,
        AsyncReelbase(proxy.url, own_target.service_role_key) as client,
    ):
        watcher = Watcher(client, job)
        await eventually(lambda: watcher.has_seen(EventType.STEP_STARTED))

        await backend.jobs.update_status(job.id, JobStatus.PROCESSING)
        for n in range(REPORTS):
            await backend.jobs.update_progress(job.id, n + 1)
            if n % 5 == 0:
                proxy.reset()
        await backend.jobs.update_status(job.id, JobStatus.COMPLETED)

        await assert_complete(backend, job, watcher)
        assert proxy.connections > 2


async def test_slow_reader__is_bounded_and_loses_nothing(
    backend: AsyncReelbase, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "INBOX", 3)
    async with backend.jobs.watch(job.id) as events:
        first = await anext(events)
        await work(backend, job)
        rest = [event async for event in events]

    assert [first, *rest] == await backend.events.read(job.id)


def test_sync_watch__tells_everything_and_ends(own_target: Target) -> None:
    with Reelbase(own_target.url, own_target.service_role_key) as client:
        job = client.jobs.create("mp4", 64, 64)

        def finish() -> None:
            with Reelbase(own_target.url, own_target.service_role_key) as other:
                other.jobs.update_status(job.id, JobStatus.PROCESSING)
                step = other.timeline.start(job.id, ProcessingStep.ENCODING)
                other.timeline.complete(step.id)
                other.jobs.update_status(job.id, JobStatus.COMPLETED)

        with client.jobs.watch(job.id) as events:
            seen = [next(events)]
            worker = threading.Thread(target=finish)
            worker.start()
            seen += list(events)
            worker.join()

        assert seen == client.events.read(job.id)


async def test_close__leaves_no_task_and_no_thread(own_target: Target) -> None:
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    async with own_target.service() as client:
        job = await client.jobs.create("mp4", 64, 64)
        streams = [client.jobs.watch(job.id) for _ in range(3)]
        for stream in streams:
            await anext(stream)
    with Reelbase(own_target.url, own_target.service_role_key) as client:
        next(client.jobs.watch(job.id))

    async def gone() -> None:
        assert asyncio.all_tasks() == tasks
        assert {thread for thread in threading.enumerate() if "reelbase" in thread.name} <= threads

    await eventually(gone)
