"""Durable consumers: from where they committed, one instance at a time, each event at least once."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from proxy import Proxy
from reelbase import (
    AsyncConsumer,
    AsyncReelbase,
    ClientClosed,
    Conflict,
    EventType,
    InvalidArgument,
    JobEvent,
    JobStatus,
    LeaseLost,
    NotFound,
    PermissionDenied,
    Reelbase,
)
from support import Target, eventually

SECOND = timedelta(seconds=1)


@pytest.fixture
def name() -> str:
    return f"test.{uuid4()}"


@pytest.fixture
def user_id() -> UUID:
    """A user whose events nobody else writes."""
    return uuid4()


@pytest.fixture
async def known(service: AsyncReelbase, name: str) -> None:
    """The consumer has its place at the end of the log as it is now."""
    async with service.events.consumer(name, start="now"):
        pass


async def some_jobs(client: AsyncReelbase, user_id: UUID, number: int) -> list[UUID]:
    """New jobs, each with one event."""
    return [(await client.jobs.create("mp4", 64, 64, user_id=user_id)).id for _ in range(number)]


async def told(consumer: AsyncConsumer, number: int) -> list[JobEvent]:
    async with asyncio.timeout(10):
        return [await anext(consumer) for _ in range(number)]


async def place(client: AsyncReelbase, name: str) -> str:
    (cursor,) = [each.cursor for each in await client.consumers.list() if each.name == name]
    return cursor


async def unread(client: AsyncReelbase, name: str, user_id: UUID) -> list[UUID]:
    """The jobs of events that the consumer has not committed."""
    page = await client.events.read_all(after=await place(client, name), user_id=user_id)
    return [event.job_id for event in page.items]


@contextlib.asynccontextmanager
async def running(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """The work in the background, cancelled at the end."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("known")
async def test_consumer__resumes_after_what_it_committed(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 4)
    async with service.events.consumer(name, user_id=user_id) as consumer:
        first = await told(consumer, 3)
        await consumer.commit(first[1])

    async with service.events.consumer(name, user_id=user_id) as consumer:
        again = await told(consumer, 2)
        later = await some_jobs(service, user_id, 1)
        live = await told(consumer, 1)

    assert [event.job_id for event in first] == jobs[:3]
    assert [event.job_id for event in again] == jobs[2:]
    assert [event.job_id for event in live] == later
    assert await unread(service, name, user_id) == jobs[2:] + later


async def test_new_consumer__begins_where_it_is_told(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    old = await some_jobs(service, user_id, 1)
    cursor = await service.events.cursor()
    newer = await some_jobs(service, user_id, 1)

    async def first(start: str) -> UUID:
        async with service.events.consumer(f"{name}.{start}"[:100], user_id=user_id, start=start) as consumer:
            await some_jobs(service, user_id, 1)
            return (await told(consumer, 1))[0].job_id

    assert await first("beginning") == old[0]
    assert await first(cursor) == newer[0]
    assert await first("now") not in old + newer
    with pytest.raises(InvalidArgument):
        await first("yesterday")


@pytest.mark.usefixtures("known")
async def test_one_instance_at_a_time__and_each_event_once_when_they_hand_over(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    handled: list[tuple[int, UUID]] = []
    active: set[int] = set()

    async def instance(number: int) -> None:
        consumer = service.events.consumer(name, user_id=user_id)

        async def handle(event: JobEvent) -> None:
            active.add(number)
            assert active == {number}
            await asyncio.sleep(0)
            handled.append((number, event.job_id))
            active.discard(number)
            if sum(who == number for who, _ in handled) == 3:
                consumer.stop()

        await consumer.run(handle)

    async with asyncio.TaskGroup() as instances:
        for number in range(4):
            instances.create_task(instance(number))
        jobs = await some_jobs(service, user_id, 12)

    assert [job for _, job in handled] == jobs
    assert {number for number, _ in handled} == set(range(4))
    assert await unread(service, name, user_id) == []


@pytest.mark.usefixtures("known")
async def test_second_instance__is_refused_when_it_will_not_wait(service: AsyncReelbase, name: str) -> None:
    async with service.events.consumer(name, holder="one") as consumer:
        with pytest.raises(Conflict, match="is held by one") as refused:
            async with service.events.consumer(name, wait=False):
                pass
        assert refused.value.error == "consumer_busy"
        async with service.events.consumer(name, holder="one", wait=False) as again:
            assert again.state.lease == consumer.state.lease + 1


@pytest.mark.usefixtures("known")
async def test_lost_lease__ends_the_iteration(service: AsyncReelbase, name: str, user_id: UUID) -> None:
    await some_jobs(service, user_id, 2)
    async with service.events.consumer(name, user_id=user_id, lease_time=SECOND) as consumer:
        (event,) = await told(consumer, 1)
        await service.consumers.seek(name, cursor=consumer.state.cursor)

        with pytest.raises(LeaseLost):
            await consumer.commit(event)
        with pytest.raises(LeaseLost):
            await told(consumer, 1)


@pytest.mark.usefixtures("known")
async def test_run__cancels_the_handler_and_goes_on_when_the_lease_is_lost(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 2)
    calls: list[UUID] = []
    cancelled: list[UUID] = []

    async def handle(event: JobEvent) -> None:
        calls.append(event.job_id)
        if len(calls) > 1:
            return
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(event.job_id)
            raise

    async with running(service.events.consumer(name, user_id=user_id, lease_time=SECOND).run(handle)):
        await eventually(lambda: _equal(calls, jobs[:1]))
        await service.consumers.seek(name, cursor=await place(service, name))
        await eventually(lambda: _equal(calls, [jobs[0], *jobs]))

    assert cancelled == jobs[:1]


def _equal(found: object, expected: object) -> None:
    assert found == expected


@pytest.mark.usefixtures("known")
async def test_lease_lost__by_the_handler_itself_is_the_handlers(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    (job,) = await some_jobs(service, user_id, 1)

    async def handle(event: JobEvent) -> None:
        await service.queue.complete(event.job_id, 2**40)

    with pytest.raises(LeaseLost):
        await service.events.consumer(name, user_id=user_id).run(handle)

    assert await unread(service, name, user_id) == [job]


@pytest.mark.usefixtures("known")
async def test_event__is_told_again_when_its_handler_failed(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 3)
    handled: list[UUID] = []

    async def handle(event: JobEvent) -> None:
        if len(handled) == 1:
            raise ZeroDivisionError
        handled.append(event.job_id)

    with pytest.raises(ZeroDivisionError):
        await service.events.consumer(name, user_id=user_id).run(handle)

    assert handled == jobs[:1]
    assert await unread(service, name, user_id) == jobs[1:]


class FailingAt:
    """A handler that remembers, and fails at the one at this place, the first time."""

    def __init__(self, place: int, error: type[BaseException] = ZeroDivisionError) -> None:
        self.calls: list[UUID] = []
        self._failing_at: int | None = place
        self._error = error

    async def handle(self, event: JobEvent) -> None:
        self.handle_at_once(event)

    def handle_at_once(self, event: JobEvent) -> None:
        self.calls.append(event.job_id)
        if len(self.calls) - 1 == self._failing_at:
            self._failing_at = None
            raise self._error


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("place", [0, 1, 2])
async def test_next_run__begins_with_the_event_whose_handler_failed(
    service: AsyncReelbase, name: str, user_id: UUID, place: int
) -> None:
    jobs = await some_jobs(service, user_id, 3)
    handler = FailingAt(place)
    async with service.events.consumer(name, user_id=user_id) as consumer:
        with pytest.raises(ZeroDivisionError):
            await consumer.run(handler.handle)
        async with running(consumer.run(handler.handle)):
            await eventually(lambda: _equal(handler.calls, [*jobs[: place + 1], *jobs[place:]]))

    assert await unread(service, name, user_id) == []


@pytest.mark.usefixtures("known")
async def test_run__whose_handler_waits_for_what_was_cancelled_fails(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 1)

    async def wait_for_the_cancelled(_: JobEvent) -> None:
        other = asyncio.get_running_loop().create_future()
        other.cancel()
        await other

    with pytest.raises(RuntimeError, match="waited for something that was cancelled"):
        await service.events.consumer(name, user_id=user_id).run(wait_for_the_cancelled)

    assert await unread(service, name, user_id) == jobs


@pytest.mark.usefixtures("known")
async def test_iterating_after_a_run__begins_with_the_event_whose_handler_was_cancelled(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 3)
    entered = asyncio.Event()

    async def hang(_: JobEvent) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with service.events.consumer(name, user_id=user_id) as consumer:
        async with running(consumer.run(hang)):
            await asyncio.wait_for(entered.wait(), 10)

        events = await told(consumer, 3)
        await consumer.commit(events[1])

    assert [event.job_id for event in events] == jobs
    assert await unread(service, name, user_id) == jobs[2:]


@pytest.mark.usefixtures("known")
async def test_event_given_up_by_a_handler_that_failed__is_not_told_again(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 2)
    async with service.events.consumer(name, user_id=user_id) as consumer:

        async def give_up(event: JobEvent) -> None:
            await consumer.dead_letter(event, attempts=1, error="It broke.")
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await consumer.run(give_up)

        assert [event.job_id for event in await told(consumer, 1)] == jobs[1:]


@pytest.mark.usefixtures("known")
async def test_consumer__is_opened_again_by_each_run(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 2)
    handler = FailingAt(1)
    consumer = service.events.consumer(name, user_id=user_id)
    with pytest.raises(ZeroDivisionError):
        await consumer.run(handler.handle)
    async with running(consumer.run(handler.handle)):
        await eventually(lambda: _equal(handler.calls, [*jobs, jobs[1]]))
    async with consumer:
        assert consumer.state.holder is not None
        jobs += await some_jobs(service, user_id, 1)
        assert [event.job_id for event in await told(consumer, 1)] == jobs[2:]

    assert [event async for event in consumer] == []


@pytest.mark.usefixtures("known")
async def test_stopped_consumer__ends_at_once_until_it_is_opened_again(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 2)
    handled: list[UUID] = []
    consumer = service.events.consumer(name, user_id=user_id)

    async def handle(event: JobEvent) -> None:
        handled.append(event.job_id)
        consumer.stop()

    async with asyncio.timeout(10):
        consumer.stop()
        await consumer.run(handle)
        assert handled == []
        async with consumer:
            await consumer.run(handle)
            await consumer.run(handle)
            assert handled == jobs[:1]
        await consumer.run(handle)
        assert handled == jobs


async def test_consumer_of_a_closed_client__is_not_opened_again(target: Target, name: str) -> None:
    async with target.service() as client:
        consumer = client.events.consumer(name, start="now")
        async with consumer:
            pass
    with pytest.raises(ClientClosed):
        await consumer.run(_nothing)


@pytest.mark.usefixtures("known")
async def test_consumer__is_not_opened_again_while_its_client_closes(
    target: Target, service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    await some_jobs(service, user_id, 1)
    client, working = target.service(), asyncio.Event()

    async def handle(_: JobEvent) -> None:
        working.set()
        await client.events.cursor()

    async def run_on() -> None:
        consumer = client.events.consumer(name, user_id=user_id)
        while True:
            await consumer.run(handle)

    async with running(run_on()) as work:
        await asyncio.wait_for(working.wait(), 10)
        await client.aclose()
        with pytest.raises(ClientClosed):
            await asyncio.wait_for(work, 10)

    async with service.events.consumer(name, wait=False):
        pass


@pytest.mark.usefixtures("known")
async def test_cancelled_run__has_committed_what_was_handled(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 3)
    handled: list[UUID] = []

    async def handle(event: JobEvent) -> None:
        if len(handled) == 2:
            await asyncio.sleep(60)
        handled.append(event.job_id)

    async with running(service.events.consumer(name, user_id=user_id).run(handle)):
        await eventually(lambda: _equal(handled, jobs[:2]))

    assert await unread(service, name, user_id) == jobs[2:]
    (holder,) = [each.holder for each in await service.consumers.list() if each.name == name]
    assert holder is None


@pytest.mark.usefixtures("known")
async def test_fast_handler__commits_now_and_then(
    target: Target, service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 250)
    handled: list[UUID] = []
    commits: list[str] = []
    async with target.service() as client:
        client.hooks.after(lambda report: commits.append(report.function))

        async def handle(event: JobEvent) -> None:
            handled.append(event.job_id)

        async with running(client.events.consumer(name, user_id=user_id).run(handle)):
            await eventually(lambda: _equal(len(handled), 250))

            async def committed() -> None:
                assert await unread(service, name, user_id) == []

            await eventually(committed)

    assert handled == jobs
    assert 1 <= commits.count("commit_event_consumer") < 6


@pytest.mark.usefixtures("known")
async def test_filters__tell_some_and_the_place_moves_past_all(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 3)
    await service.jobs.cancel(jobs[1])
    filters: list[dict[str, Any]] = [
        {"status": [JobStatus.CANCELLED]},
        {"types": [EventType.JOB_STATUS]},
    ]
    for narrowed in filters:
        async with service.events.consumer(f"{name}.2", user_id=user_id, **narrowed) as consumer:
            assert [event.job_id for event in await told(consumer, 1)] == jobs[1:2]
        await service.consumers.delete(f"{name}.2")

    async def past_all() -> None:
        assert await unread(service, name, user_id) == []

    paused = service.events.consumer(name, types=[EventType.JOB_PAUSED], lease_time=SECOND)
    async with paused as consumer, running(anext(consumer)):
        await eventually(past_all)


@pytest.mark.usefixtures("known")
async def test_outage__delays_events_and_commits_and_loses_none(
    target: Target, service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 2)
    async with (
        Proxy(target.url) as proxy,
        AsyncReelbase(proxy.url, target.service_role_key, timeout=0.3) as client,
        client.events.consumer(name, user_id=user_id, lease_time=SECOND) as consumer,
    ):
        first = await told(consumer, 1)
        await proxy.cut()
        async with running(consumer.commit(first[0])) as committing:
            jobs += await some_jobs(service, user_id, 2)
            await asyncio.wait({committing}, timeout=1.2)
            assert not committing.done()
            await proxy.restore()
            await asyncio.wait_for(committing, 10)
        rest = await told(consumer, 3)

    assert [event.job_id for event in first + rest] == jobs
    assert await unread(service, name, user_id) == jobs[1:]


@pytest.mark.usefixtures("known")
async def test_lease_that_ran_out__tells_nothing_until_it_is_renewed(
    target: Target, service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    """Cut off for longer than its lease, an instance has events in hand that another may be handling."""
    jobs = await some_jobs(service, user_id, 3)
    async with (
        Proxy(target.url) as proxy,
        AsyncReelbase(proxy.url, target.service_role_key, timeout=0.3) as client,
        client.events.consumer(name, user_id=user_id, lease_time=SECOND) as consumer,
    ):
        await told(consumer, 1)
        await proxy.cut()
        async with (
            service.events.consumer(name, user_id=user_id) as other,
            running(anext(consumer)) as telling,
        ):
            assert [event.job_id for event in await told(other, 3)] == jobs
            await proxy.restore()
            with pytest.raises(LeaseLost):
                await asyncio.wait_for(telling, 10)


@pytest.mark.usefixtures("known")
async def test_event_that_is_gone_with_its_job__is_no_obstacle(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 4)
    await service.jobs.cancel(jobs[2])
    async with service.events.consumer(name, user_id=user_id) as consumer:
        events = await told(consumer, 3)
        await service.jobs.delete(jobs[2])
        await consumer.commit(events[2])
        assert await unread(service, name, user_id) == jobs[3:]
        await consumer.commit(events[0])
        last = await told(consumer, 2)
        await consumer.commit(last[1])
        assert await unread(service, name, user_id) == []

    assert last[0].job_id == jobs[3]


@pytest.mark.usefixtures("known")
async def test_dead_letter__is_kept_and_passed(service: AsyncReelbase, name: str, user_id: UUID) -> None:
    jobs = await some_jobs(service, user_id, 3)
    await service.jobs.cancel(jobs[1])
    async with service.events.consumer(name, user_id=user_id) as consumer:
        events = await told(consumer, 2)
        await consumer.dead_letter(events[0], attempts=3, error="It broke\0\udce9." * 1000)
        await service.jobs.delete(jobs[1])
        await consumer.dead_letter(events[1], attempts=3, error="")

    letters = [letter async for letter in service.consumers.dead_letters(name)]
    assert [(letter.event, letter.event_id, letter.attempts) for letter in letters] == [
        (events[0], events[0].id, 3)
    ]
    assert letters[0].error.startswith("It broke\ufffd?.")
    assert len(letters[0].error) == 2000
    assert await unread(service, name, user_id) == jobs[2:]
    assert (await service.consumers.discard(name, events[0].id)).event == events[0]
    with pytest.raises(NotFound):
        await service.consumers.discard(name, events[0].id)


@pytest.mark.usefixtures("known")
async def test_dead_letter__of_a_committed_event_is_refused_and_costs_no_lease(
    service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 3)
    async with service.events.consumer(name, user_id=user_id) as consumer:
        events = await told(consumer, 2)
        await consumer.commit(events[1])
        with pytest.raises(Conflict) as behind:
            await consumer.dead_letter(events[0], attempts=1, error="It broke.")

        assert behind.value.error == "cursor_behind"
        assert [event.job_id for event in await told(consumer, 1)] == jobs[2:]


async def test_consumers__are_for_backends(target: Target, name: str) -> None:
    async with target.user() as client:
        with pytest.raises(PermissionDenied):
            await client.events.consumer(name).run(_nothing)


async def _nothing(_: JobEvent) -> None:
    pass


async def test_closed_client__gives_the_lease_up(target: Target, service: AsyncReelbase, name: str) -> None:
    async with target.service() as client:
        consumer = await client.events.consumer(name, start="now").__aenter__()
        assert await unread(service, name, uuid4()) == []
        assert consumer.state.holder is not None

    async with service.events.consumer(name, wait=False):
        assert [event async for event in consumer] == []


@pytest.mark.usefixtures("known")
async def test_client_closed_while_a_handler_works__ends_the_run(
    target: Target, service: AsyncReelbase, name: str, user_id: UUID
) -> None:
    jobs = await some_jobs(service, user_id, 2)
    client = target.service()

    async def handle(_: JobEvent) -> None:
        await client.aclose()

    async with asyncio.timeout(10):
        await client.events.consumer(name, user_id=user_id).run(handle)

    assert await unread(service, name, user_id) == jobs


async def test_consumer_that_is_not_open__says_so(service: AsyncReelbase, name: str) -> None:
    consumer = service.events.consumer(name, start="now")
    with pytest.raises(RuntimeError, match="is not open: use it as a context manager"):
        await anext(consumer)
    async with consumer:
        with pytest.raises(RuntimeError, match="is open already"):
            await consumer.__aenter__()
    with pytest.raises(TypeError, match="A batch cannot watch"):
        service.batch().events.consumer(name)  # type: ignore[operator]


# Synchronous code


@pytest.fixture
def synchronous(target: Target) -> Iterator[Reelbase]:
    with Reelbase(target.url, target.service_role_key) as client:
        yield client


def test_synchronous_consumer__tells_and_commits(synchronous: Reelbase, name: str, user_id: UUID) -> None:
    with synchronous.events.consumer(name, user_id=user_id, start="now") as consumer:
        jobs = [synchronous.jobs.create("mp4", 64, 64, user_id=user_id).id for _ in range(3)]
        first = next(consumer)
        consumer.commit(first)
        consumer.dead_letter(next(consumer), attempts=1, error="It broke.")
        assert (consumer.name, consumer.state.name) == (name, name)

    with synchronous.events.consumer(name, user_id=user_id) as consumer:
        assert next(consumer).job_id == jobs[2]
    assert first.job_id == jobs[0]
    assert [letter.event.job_id for letter in synchronous.consumers.dead_letters(name)] == [jobs[1]]


def test_synchronous_run__handles_in_its_own_thread_until_stopped(
    synchronous: Reelbase, name: str, user_id: UUID
) -> None:
    consumer = synchronous.events.consumer(name, user_id=user_id, start="now")
    handled: list[UUID] = []
    threads: set[int] = set()
    all_handled = threading.Event()

    def handle(event: JobEvent) -> None:
        handled.append(event.job_id)
        threads.add(threading.get_ident())
        if len(handled) == 2:
            all_handled.set()

    with ThreadPoolExecutor(1) as pool:
        with consumer:
            pass
        consumer = synchronous.events.consumer(name, user_id=user_id)
        jobs = [synchronous.jobs.create("mp4", 64, 64, user_id=user_id).id for _ in range(2)]
        work = pool.submit(consumer.run, handle)
        assert all_handled.wait(10)
        consumer.stop()
        work.result(10)

    assert handled == jobs
    assert len(threads) == 1
    with synchronous.events.consumer(name, wait=False) as after:
        rest = synchronous.events.read_all(after=after.state.cursor, user_id=user_id)
        assert rest.items == ()


def test_synchronous_run__passes_on_what_the_handler_raises(
    synchronous: Reelbase, name: str, user_id: UUID
) -> None:
    with synchronous.events.consumer(name, start="now"):
        job = synchronous.jobs.create("mp4", 64, 64, user_id=user_id)

    def fail(_: JobEvent) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        synchronous.events.consumer(name, user_id=user_id).run(fail)
    with synchronous.events.consumer(name, user_id=user_id, wait=False) as consumer:
        assert next(consumer).job_id == job.id


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_next_synchronous_run__begins_with_the_event_whose_handler_failed(
    synchronous: Reelbase, name: str, user_id: UUID, error: type[BaseException]
) -> None:
    handler = FailingAt(1, error)
    with synchronous.events.consumer(name, user_id=user_id, start="now") as consumer:
        jobs = [synchronous.jobs.create("mp4", 64, 64, user_id=user_id).id for _ in range(3)]

        def handle(event: JobEvent) -> None:
            handler.handle_at_once(event)
            if event.job_id == jobs[2]:
                consumer.stop()

        with pytest.raises(error):
            consumer.run(handle)
        consumer.run(handle)

    assert handler.calls == [*jobs[:2], *jobs[1:]]
    with consumer:
        rest = synchronous.events.read_all(after=consumer.state.cursor, user_id=user_id)
    assert rest.items == ()


def test_synchronous_consumer__is_opened_again_by_each_run(
    synchronous: Reelbase, name: str, user_id: UUID
) -> None:
    consumer = synchronous.events.consumer(name, user_id=user_id, start="now")
    with consumer:
        jobs = [synchronous.jobs.create("mp4", 64, 64, user_id=user_id).id for _ in range(2)]
    handler = FailingAt(0)
    with pytest.raises(ZeroDivisionError):
        consumer.run(handler.handle_at_once)

    def handle(event: JobEvent) -> None:
        handler.handle_at_once(event)
        consumer.stop()

    consumer.run(handle)
    with consumer:
        assert consumer.state.holder is not None
        assert next(consumer).job_id == jobs[1]

    assert handler.calls == [jobs[0], jobs[0]]


def test_client_closed_while_a_synchronous_handler_works__ends_the_run(
    target: Target, synchronous: Reelbase, name: str, user_id: UUID
) -> None:
    with synchronous.events.consumer(name, start="now"):
        job = synchronous.jobs.create("mp4", 64, 64, user_id=user_id)
    client = Reelbase(target.url, target.service_role_key)
    consumer = client.events.consumer(name, user_id=user_id)

    consumer.run(lambda _: client.close())
    consumer.stop()

    (cursor,) = [each.cursor for each in synchronous.consumers.list() if each.name == name]
    unread = synchronous.events.read_all(after=cursor, user_id=user_id)
    assert [event.job_id for event in unread.items] == [job.id]
