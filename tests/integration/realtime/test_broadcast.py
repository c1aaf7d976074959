"""The other live path: the database broadcasts each event to private topics, if its setting says so."""

from uuid import UUID, uuid4

import pytest

from live_world import LeapingClock, Reader, feeding, reading
from reelbase import AsyncReelbase, Job, JobStatus
from reelbase.realtime.endpoint import Timing
from reelbase.realtime.watch import Tail, Watch
from support import Target, eventually

pytestmark = pytest.mark.local_stack
"""The setting is of the whole database."""

OWNER = uuid4()


@pytest.fixture
def broadcasting(own_target: Target) -> Target:
    set_broadcast(own_target, "true")
    return own_target


def set_broadcast(target: Target, value: str) -> None:
    with target.connect() as session:
        session.execute(
            "update private.settings set value = %s::jsonb where name = 'broadcast_job_events'", (value,)
        )


async def make(backend: AsyncReelbase, user_id: UUID | None = OWNER) -> Job:
    job = await backend.jobs.create("mp4", 64, 64, user_id=user_id)
    return await backend.jobs.update_status(job.id, JobStatus.PROCESSING)


async def has_log_of(backend: AsyncReelbase, reader: Reader, *jobs: Job) -> None:
    for job in jobs:
        log = await backend.events.read(job.id)
        assert [event for event in reader.events if event.job_id == job.id] == log


async def test_watch_by_broadcast__has_events_pushed(broadcasting: Target) -> None:
    async with (
        broadcasting.service() as backend,
        AsyncReelbase(broadcasting.url, broadcasting.service_role_key, live="broadcast") as client,
    ):
        job = await make(backend)
        async with reading(client.jobs.watch(job.id)) as reader:
            await eventually(lambda: reader.is_in("live"))
            before = reader.stream.counts.pushed, reader.stream.counts.read

            for progress in range(10):
                await backend.jobs.update_progress(job.id, progress + 1)
            await eventually(lambda: has_log_of(backend, reader, job), seconds=5)

            assert reader.stream._log.source.is_broadcast
            pushed, read = reader.stream.counts.pushed - before[0], reader.stream.counts.read - before[1]
    # The first may still be read with what was missed before.
    assert pushed + read == 10
    assert pushed >= 8


async def test_stream_of_a_user_by_broadcast__has_events_pushed(broadcasting: Target) -> None:
    token = broadcasting.token(sub=str(OWNER))
    async with (
        broadcasting.service() as backend,
        AsyncReelbase(broadcasting.url, broadcasting.anon_key, access_token=token, live="broadcast") as user,
        reading(user.events.stream(user_id=OWNER)) as reader,
    ):
        await eventually(lambda: reader.is_in("live"))
        jobs = [await make(backend) for _ in range(3)]
        others = await make(backend, uuid4())

        await eventually(lambda: has_log_of(backend, reader, *jobs), seconds=5)

        assert reader.stream._log.source.is_broadcast
        assert reader.stream.counts.pushed >= 4
        assert not [event for event in reader.events if event.job_id == others.id]


async def test_setting_that_is_off__makes_it_slower_and_loses_nothing(own_target: Target) -> None:
    """The topic can be joined, and stays silent: that is noticed."""
    clock = LeapingClock()
    async with (
        own_target.service() as backend,
        feeding(
            backend._carry,
            own_target.url,
            own_target.service_role_key,
            live="broadcast",
            clock=clock,
            timing=Timing(),
        ) as feeds,
    ):
        job = await make(backend)
        async with reading(feeds.open(Watch(job.id))) as reader:
            await eventually(lambda: reader.is_in("live"))

            for progress in range(4):
                await backend.jobs.update_progress(job.id, progress + 1)
                clock.leap(11)
                await eventually(lambda: has_log_of(backend, reader, job))

            reader.is_in("polling")
            assert reader.stream.connection_state.reason == "the live connection brings no rows"
            # Once rows come again, it is live again.
            set_broadcast(own_target, "true")
            await backend.jobs.update_progress(job.id, 50)
            await eventually(lambda: reader.is_in("live"))
            await eventually(lambda: has_log_of(backend, reader, job))


async def test_topic_that_is_refused__is_polled_for(broadcasting: Target) -> None:
    """A watch token shows its job, and opens no user's topic."""
    async with broadcasting.service() as backend:
        job = await make(backend)
        token = broadcasting.token(role="anon", watch_job_id=str(job.id))
        async with (
            AsyncReelbase(
                broadcasting.url, broadcasting.anon_key, access_token=token, live="broadcast"
            ) as viewer,
            reading(viewer.events.stream(after="beginning", user_id=OWNER)) as reader,
        ):
            await eventually(lambda: reader.is_in("polling"))
            await backend.jobs.update_progress(job.id, 50)

            await eventually(lambda: has_log_of(backend, reader, job))

            assert "refused" in reader.stream.connection_state.reason
            assert reader.stream.counts.pushed == 0


async def test_stream_of_all_jobs__comes_as_changes_on_either_path(broadcasting: Target) -> None:
    """There is no topic for all."""
    async with (
        broadcasting.service() as backend,
        feeding(backend._carry, broadcasting.url, broadcasting.service_role_key, live="broadcast") as feeds,
        reading(feeds.open(Tail())) as reader,
    ):
        await eventually(lambda: reader.is_in("live"))
        job = await make(backend)

        await eventually(lambda: has_log_of(backend, reader, job), seconds=5)
        assert reader.stream.counts.pushed >= 1
