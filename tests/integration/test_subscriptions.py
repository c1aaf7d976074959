"""Callbacks: called with what they asked for, one event at a time, whatever becomes of others."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from proxy import Proxy
from reelbase import (
    AsyncReelbase,
    ConnectionPhase,
    ConnectionState,
    EventType,
    Job,
    JobEvent,
    JobStatus,
    NotFound,
    Overflow,
    PermissionDenied,
    ProcessingStep,
    Reelbase,
    Severity,
    StorageOperationType,
    SubscriptionKind,
    SubscriptionOverflow,
    SystemEvent,
)
from reelbase.realtime import subscriptions
from support import AnyClient, Target, done, eventually, text

CREATED, STATUS, PROGRESS = EventType.JOB_CREATED, EventType.JOB_STATUS, EventType.JOB_PROGRESS


class Seen:
    """A callback that remembers."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.errors: list[tuple[Exception, JobEvent | SystemEvent | None]] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    def on_error(self, error: Exception, event: JobEvent | SystemEvent | None) -> None:
        self.errors.append((error, event))

    def types_of(self, job_id: UUID) -> list[str]:
        return [str(event.type) for event in self.events if event.job_id == job_id]


class Gate:
    """A callback that waits, in the way of the client's mode, until it is opened."""

    def __init__(self, client: AnyClient) -> None:
        self.events: list[Any] = []
        self._open = threading.Event()
        self.callback = self._wait if isinstance(client, Reelbase) else self._wait_async

    def open(self) -> None:
        self._open.set()

    def entered(self) -> None:
        assert self.events

    def _wait(self, event: Any) -> None:
        self.events.append(event)
        assert self._open.wait(10)

    async def _wait_async(self, event: Any) -> None:
        self.events.append(event)
        await eventually(self._is_open)

    def _is_open(self) -> None:
        assert self._open.is_set()


@pytest.fixture
async def job(service: AsyncReelbase) -> Job:
    return await service.jobs.create("mp4", 64, 64)


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if "callback" in thread.name] == []


def left(prefix: str = "reelbase-subscription") -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(prefix)]


def phase(client: AnyClient, subscription_id: Any) -> ConnectionPhase:
    found: ConnectionPhase = client.subscriptions.info(subscription_id).connection_state.phase
    return found


async def ended(client: AnyClient, subscription_id: Any) -> None:
    def is_closed() -> None:
        assert phase(client, subscription_id) is ConnectionPhase.CLOSED

    await eventually(is_closed)


async def counted(check: Callable[[], int], number: int) -> None:
    def matches() -> None:
        assert check() == number

    await eventually(matches)


async def ready(client: AnyClient, *ids: Any) -> None:
    for subscription_id in ids:
        await done(client.subscriptions.ready(subscription_id, timeout=10))


async def advance(service: AsyncReelbase, job: Job, *percentages: int) -> None:
    """An event for each."""
    await service.jobs.update_status(job.id, JobStatus.PROCESSING)
    for percentage in percentages:
        await service.jobs.update_progress(job.id, percentage)


# What each tells ----------------------------------------------------------------------------


async def test_each_method__tells_what_its_name_says(client: AnyClient, service: AsyncReelbase) -> None:
    subscribing = client.subscriptions
    seen: dict[str, Seen] = {
        name: Seen() for name in ("all", "active", "status", "steps", "elements", "storage")
    }
    ids = [
        subscribing.subscribe_to_all_jobs(seen["all"]),
        subscribing.subscribe_to_active_jobs(seen["active"]),
        subscribing.subscribe_to_job_status_changes(seen["status"]),
        subscribing.subscribe_to_processing_timeline_updates(seen["steps"]),
        subscribing.subscribe_to_element_updates(seen["elements"]),
        subscribing.subscribe_to_storage_operations(seen["storage"]),
    ]
    await ready(client, *ids)
    job = (await service.jobs.create_video("mp4", 64, 64, elements=[text()])).job
    of_job = {name: Seen() for name in ("job", "status", "steps", "elements", "storage")}
    last = [
        subscribing.subscribe_to_job(job.id, of_job["job"]),
        subscribing.subscribe_to_job_status_changes(of_job["status"], job.id),
        subscribing.subscribe_to_processing_timeline_updates(of_job["steps"], job.id),
        subscribing.subscribe_to_element_updates(of_job["elements"], job_id=job.id),
        subscribing.subscribe_to_storage_operations(of_job["storage"], job_id=job.id),
    ]
    await service.jobs.update_status(job.id, JobStatus.PROCESSING)
    step = await service.timeline.start(job.id, ProcessingStep.ENCODING)
    await service.timeline.complete(step.id)
    await service.storage.log(StorageOperationType.UPLOAD, "videos", "a.mp4", job_id=job.id)
    await service.jobs.update_status(job.id, JobStatus.COMPLETED)
    await service.access.log(job.id, "https://example.com/a.mp4")
    whole = [str(event.type) for event in await service.events.read(job.id)]
    to_the_end = whole[: whole.index("url.accessed")]
    for subscription_id in last:
        await ended(client, subscription_id)

    await eventually(lambda: _equal(seen["all"].types_of(job.id), whole))
    expected = {
        "job": to_the_end,
        "active": to_the_end,
        "status": [kind for kind in whole if kind in {"job.created", "job.status"}],
        "steps": [kind for kind in whole if kind.startswith("step.")],
        "elements": [kind for kind in whole if kind.startswith("element.")],
        "storage": ["storage.operation"],
    }
    assert {name: one.types_of(job.id) for name, one in of_job.items()} == {
        name: kinds for name, kinds in expected.items() if name != "active"
    }
    for name in ("active", "status", "steps", "elements", "storage"):
        await eventually(lambda name=name: _equal(seen[name].types_of(job.id), expected[name]))
    assert [info.kind for info in subscribing.active_subscriptions] == [
        SubscriptionKind.ALL_JOBS,
        SubscriptionKind.ACTIVE_JOBS,
        SubscriptionKind.JOB_STATUS,
        SubscriptionKind.TIMELINE,
        SubscriptionKind.ELEMENTS,
        SubscriptionKind.STORAGE,
    ]


def _equal(found: Any, expected: Any) -> None:
    assert found == expected


async def test_subscription_of_a_job__ends_with_it(
    client: AnyClient, service: AsyncReelbase, job: Job
) -> None:
    seen = Seen()
    subscription_id = client.subscriptions.subscribe_to_job(job.id, seen, after_seq=1, types=[STATUS])
    assert [info.job_id for info in client.subscriptions.active_subscriptions] == [job.id]

    await service.jobs.cancel(job.id)

    await ended(client, subscription_id)
    info = client.subscriptions.info(subscription_id)
    assert [event.status for event in seen.events] == [JobStatus.CANCELLED]
    assert (info.delivered, info.failures, info.last_error, info.queued) == (1, 0, None, 0)
    assert info.connection_state.reason == "The job has ended."
    assert client.subscriptions.active_subscriptions == []
    assert await done(client.subscriptions.unsubscribe(subscription_id)) is False


async def test_all_jobs__of_types_and_a_user_and_from_a_cursor(
    client: AnyClient, service: AsyncReelbase
) -> None:
    user_id = uuid4()
    cursor = await service.events.cursor()
    job = await service.jobs.create("mp4", 64, 64, user_id=user_id)
    await service.jobs.cancel(job.id)
    seen, narrow = Seen(), Seen()

    client.subscriptions.subscribe_to_all_jobs(seen, after=cursor, user_id=user_id)
    client.subscriptions.subscribe_to_all_jobs(narrow, after=cursor, user_id=user_id, types=[STATUS])

    await counted(lambda: len(seen.events), 2)
    await counted(lambda: len(narrow.events), 1)
    assert seen.types_of(job.id) == [CREATED, STATUS]
    assert narrow.types_of(job.id) == [STATUS]


async def test_system_events__by_severity_and_type(client: AnyClient, service: AsyncReelbase) -> None:
    name = f"test.{uuid4()}"
    await service.metrics.set_threshold(name, warning=5, critical=9)
    seen, critical, nothing = Seen(), Seen(), Seen()
    subscribing = client.subscriptions
    await ready(
        client,
        subscribing.subscribe_to_system_events(seen, types=["metric.threshold"]),
        subscribing.subscribe_to_system_events(critical, severity=Severity.CRITICAL),
        subscribing.subscribe_to_system_events(nothing, types="nothing"),
    )

    for value in (6, 10, 1):
        await service.metrics.record(name, value)

    def told(one: Seen) -> list[str]:
        return [str(event.severity) for event in one.events if event.data.get("metric") == name]

    await eventually(lambda: _equal(told(seen), ["warning", "critical", "info"]))
    await eventually(lambda: _equal(told(critical), ["critical"]))
    assert nothing.events == []
    assert {info.kind for info in subscribing.active_subscriptions} == {SubscriptionKind.SYSTEM_EVENTS}


# Callbacks that raise -----------------------------------------------------------------------


async def test_callback_that_raises__is_reported_and_disturbs_nobody(
    client: AnyClient, service: AsyncReelbase, job: Job
) -> None:
    good, bad, worse = Seen(), Seen(), Seen()

    def raising(event: JobEvent) -> None:
        raise StopIteration(event.seq)

    async def raising_later(event: JobEvent) -> None:
        await asyncio.sleep(0)
        raise asyncio.CancelledError(event.seq)

    def on_error_that_raises(error: Exception, event: JobEvent | None) -> None:
        worse.on_error(error, event)
        raise ValueError

    ids = [
        client.subscriptions.subscribe_to_job(job.id, good),
        client.subscriptions.subscribe_to_job(job.id, raising, on_error=bad.on_error),
        client.subscriptions.subscribe_to_job(job.id, raising_later, on_error=on_error_that_raises),
    ]
    await advance(service, job, 1, 2)
    await service.jobs.cancel(job.id)
    for subscription_id in ids:
        await ended(client, subscription_id)

    log = await service.events.read(job.id)
    infos = [client.subscriptions.info(subscription_id) for subscription_id in ids]
    assert good.events == log
    assert [(info.delivered, info.failures) for info in infos] == [(5, 0), (5, 5), (5, 5)]
    for one, info in zip((bad, worse), infos[1:], strict=True):
        assert [event for _, event in one.errors] == log
        assert info.last_error is one.errors[-1][0]


def test_exit_in_the_background_loop__is_reported_and_ends_nothing(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    leaving, exits = Seen(), []
    other = Seen()

    async def leave(event: JobEvent) -> None:
        leaving(event)
        if event.type is CREATED:
            asyncio.create_task(leave_later())  # noqa: RUF006  # whoever loses it, loses an exit
        raise SystemExit(3)

    async def leave_later() -> None:
        raise SystemExit(4)

    def observe(state: ConnectionState) -> None:
        exits.append(state.phase)
        raise SystemExit(5)

    with Reelbase(target.url, target.service_role_key) as client:
        job = client.jobs.create("mp4", 64, 64)
        ids = [
            client.subscriptions.subscribe_to_job(job.id, leave, on_error=leaving.on_error),
            client.subscriptions.subscribe_to_job(job.id, other),
        ]
        for each in ids:
            client.subscriptions.ready(each, 10)
        stream = client.jobs.watch(job.id)
        stream.on_connection_state(observe)
        assert next(stream).type == CREATED
        client.jobs.cancel(job.id)
        assert [event.type for event in stream] == [STATUS]
        client.subscriptions.ready(ids[0], 10)

        async def all_told() -> None:
            assert leaving.types_of(job.id) == other.types_of(job.id) == [CREATED, STATUS]
            assert [type(error.__cause__) for error, _ in leaving.errors] == [SystemExit] * 2

        asyncio.run(eventually(all_told))

    assert exits
    assert "what would end a program" in caplog.text


async def test_callback_that_raises__is_logged_where_nobody_asked_for_its_errors(
    client: AnyClient, job: Job, service: AsyncReelbase, caplog: pytest.LogCaptureFixture
) -> None:
    problem = ValueError("no")

    def raising(_: JobEvent) -> None:
        raise problem

    subscription_id = client.subscriptions.subscribe_to_job(job.id, raising)
    await service.jobs.cancel(job.id)
    await ended(client, subscription_id)

    records = [record for record in caplog.records if record.name == "reelbase.subscriptions"]
    assert [(record.levelno, record.exc_info and record.exc_info[1]) for record in records] == [
        (logging.ERROR, problem)
    ] * 2
    assert f"({SubscriptionKind.JOB}) raised on event" in records[0].message
    assert str(job.id) in records[0].message


# Callbacks that are slow --------------------------------------------------------------------


async def test_catch_up__loses_nothing(client: AnyClient, service: AsyncReelbase, job: Job) -> None:
    gate, beside = Gate(client), Seen()
    slow = client.subscriptions.subscribe_to_job(job.id, gate.callback, queue_size=2)
    client.subscriptions.subscribe_to_job(job.id, beside)
    await eventually(gate.entered)
    await advance(service, job, *range(1, 11))
    await service.jobs.cancel(job.id)
    await counted(lambda: len(beside.events), 13)

    waiting = client.subscriptions.info(slow)
    gate.open()
    await ended(client, slow)

    assert (waiting.delivered, waiting.queued, waiting.dropped) == (0, 2, 0)
    assert gate.events == beside.events == await service.events.read(job.id)
    assert client.subscriptions.info(slow).dropped == 0


async def test_latest__skips_to_the_newest_of_each_job(client: AnyClient, service: AsyncReelbase) -> None:
    gate = Gate(client)
    user_id = uuid4()
    slow = client.subscriptions.subscribe_to_all_jobs(
        gate.callback, user_id=user_id, overflow=Overflow.LATEST, queue_size=2
    )
    await ready(client, slow)
    first, second = [await service.jobs.create("mp4", 64, 64, user_id=user_id) for _ in range(2)]
    await eventually(gate.entered)
    for job in (second, first):
        await advance(service, job, 1, 2, 3)
        await service.jobs.cancel(job.id)
    await counted(lambda: client.subscriptions.info(slow).dropped, 9)

    gate.open()

    await counted(lambda: client.subscriptions.info(slow).delivered, 3)
    assert [(event.job_id, event.seq) for event in gate.events] == [
        (first.id, 1),
        (second.id, 6),
        (first.id, 6),
    ]


async def test_fail__ends_the_subscription(client: AnyClient, service: AsyncReelbase, job: Job) -> None:
    gate, beside = Gate(client), Seen()
    slow = client.subscriptions.subscribe_to_job(
        job.id, gate.callback, on_error=beside.on_error, overflow=Overflow.FAIL, queue_size=2
    )
    client.subscriptions.subscribe_to_job(job.id, beside)
    await eventually(gate.entered)
    await advance(service, job, 1, 2, 3)
    await counted(lambda: client.subscriptions.info(slow).dropped, 3)

    gate.open()
    await ended(client, slow)

    info = client.subscriptions.info(slow)
    ((error, event),) = beside.errors
    assert isinstance(error, SubscriptionOverflow)
    assert event is None
    assert (info.delivered, info.dropped, info.last_error) == (1, 3, error)
    assert info.connection_state.reason == str(error)
    await counted(lambda: len(beside.events), 5)


def test_queue__holds_something() -> None:
    with Reelbase("http://127.0.0.1:1", "key") as client:
        with pytest.raises(ValueError, match="queue_size"):
            client.subscriptions.subscribe_to_all_jobs(print, queue_size=0)
        with pytest.raises(ValueError, match="some"):
            client.subscriptions.subscribe_to_all_jobs(print, overflow="some")  # type: ignore[arg-type]


# Ending -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_unsubscribe__in_the_callback_itself(
    client: AnyClient, service: AsyncReelbase, job: Job, kind: str
) -> None:
    seen = Seen()
    ids: list[Any] = []
    began = threading.Event()

    def once(event: JobEvent) -> None:
        assert began.wait(5)
        seen(event)
        ending = client.subscriptions.unsubscribe(ids[0])
        if isinstance(client, AsyncReelbase):
            ids.append(asyncio.ensure_future(ending))

    async def once_async(event: JobEvent) -> None:
        await eventually(lambda: _equal(began.is_set(), True))
        seen(event)
        await done(client.subscriptions.unsubscribe(ids[0]))
        # Another one, from inside of one.
        ids.append(client.subscriptions.subscribe_to_job(job.id, seen, after_seq=1))

    callback: Any = once if kind == "plain" else once_async
    ids.append(client.subscriptions.subscribe_to_job(job.id, callback))
    began.set()
    await ended(client, ids[0])

    assert [event.seq for event in seen.events] == [1]
    assert client.subscriptions.info(ids[0]).connection_state.reason == "It was unsubscribed."
    if kind == "coroutine":
        await service.jobs.cancel(job.id)
        await ended(client, ids[1])
        assert [event.seq for event in seen.events] == [1, 2]


async def test_unsubscribe__waits_for_a_callback_that_runs(
    client: AnyClient, service: AsyncReelbase, job: Job
) -> None:
    gate = Gate(client)
    subscription_id = client.subscriptions.subscribe_to_job(job.id, gate.callback)
    await eventually(gate.entered)
    await advance(service, job, 1, 2)

    ending = asyncio.create_task(_in_thread(client, client.subscriptions.unsubscribe, subscription_id))
    await eventually(lambda: _equal(client.subscriptions.active_subscriptions, []))
    finished_early = ending.done()
    gate.open()

    assert await ending is True
    assert not finished_early
    info = client.subscriptions.info(subscription_id)
    assert (info.delivered, info.failures, info.connection_state.phase) == (1, 0, ConnectionPhase.CLOSED)


async def _in_thread(client: AnyClient, method: Callable[..., Any], *arguments: Any) -> Any:
    """Call a method so that it does not hold up the test."""
    if isinstance(client, Reelbase):
        return await asyncio.to_thread(method, *arguments)
    return await method(*arguments)


async def test_unsubscribe_all__ends_them_and_no_others(
    client: AnyClient, service: AsyncReelbase, job: Job
) -> None:
    seen = Seen()
    other = service.subscriptions.subscribe_to_job(job.id, Seen())
    for _ in range(3):
        client.subscriptions.subscribe_to_job(job.id, seen)
    client.subscriptions.subscribe_to_system_events(seen)
    await counted(lambda: len(seen.events), 3)

    assert await done(client.subscriptions.unsubscribe_all()) == 4

    assert client.subscriptions.active_subscriptions == []
    assert await done(client.subscriptions.unsubscribe_all()) == 0
    assert phase(service, other) is not ConnectionPhase.CLOSED
    await service.jobs.cancel(job.id)
    await ended(service, other)
    assert len(seen.events) == 3


async def test_unknown_subscription__is_told_of(client: AnyClient) -> None:
    nobody: Any = uuid4()
    assert await done(client.subscriptions.unsubscribe(nobody)) is False
    with pytest.raises(LookupError, match=str(nobody)):
        client.subscriptions.info(nobody)
    with pytest.raises(LookupError, match=str(nobody)):
        await done(client.subscriptions.ready(nobody))


async def test_closing__ends_all_and_leaves_nothing(target: Target, job: Job) -> None:
    seen = Seen()
    async with target.service() as client:
        guest = client.as_user(target.token(sub=str(uuid4())))
        ids = [
            client.subscriptions.subscribe_to_job(job.id, seen),
            client.subscriptions.subscribe_to_system_events(seen),
        ]
        of_guest = guest.subscriptions.subscribe_to_all_jobs(seen)
        await ready(client, *ids)
        await ready(guest, of_guest)
        assert left() != []

    assert left() == []
    infos = [client.subscriptions.info(each) for each in ids] + [guest.subscriptions.info(of_guest)]
    assert {info.connection_state.reason for info in infos} == {"The client was closed."}


def test_closing__a_synchronous_client_waits_for_callbacks(target: Target) -> None:
    entered, seen = threading.Event(), Seen()

    def slow(event: JobEvent) -> None:
        entered.set()
        client.subscriptions.active_subscriptions  # noqa: B018  # works to the end
        client.jobs.get(event.job_id)
        seen(event)

    with Reelbase(target.url, target.service_role_key) as client:
        job = client.jobs.create("mp4", 64, 64)
        with client.as_user(target.token(sub=str(uuid4()))) as guest:
            guest.subscriptions.subscribe_to_all_jobs(print)
        assert guest.subscriptions.active_subscriptions == []
        client.subscriptions.subscribe_to_job(job.id, slow)
        assert entered.wait(10)

    assert [event.seq for event in seen.events] == [1]
    assert client.subscriptions.active_subscriptions == []


async def test_closing__cancels_a_callback_that_takes_too_long(
    target: Target, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "CLOSING_SECONDS", 0.05)
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def forever(_: JobEvent) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with target.service() as client:
        client.subscriptions.subscribe_to_job(job.id, forever)
        await entered.wait()

    assert cancelled.is_set()
    assert left() == []


async def test_closing__in_a_callback(target: Target, job: Job) -> None:
    closed = asyncio.Event()
    client = target.service()

    async def close(_: JobEvent) -> None:
        await client.aclose()
        closed.set()

    client.subscriptions.subscribe_to_job(job.id, close)
    await asyncio.wait_for(closed.wait(), 10)
    await eventually(lambda: _equal(left(), []))


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_closing__in_a_task_of_a_callback_waits_for_the_others(
    target: Target, job: Job, kind: str
) -> None:
    entered, finishing, finished = asyncio.Event(), asyncio.Event(), asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    client = target.service()

    async def slow(_: JobEvent) -> None:
        entered.set()
        await finishing.wait()
        finished.set()

    async def shut_down() -> None:
        await client.subscriptions.unsubscribe(ids[0])
        assert finished.is_set()
        await client.aclose()

    def close(_: JobEvent) -> None:
        tasks.append(asyncio.create_task(shut_down()))

    async def close_and_wait(event: JobEvent) -> None:
        close(event)
        await tasks[0]

    ids = [client.subscriptions.subscribe_to_job(job.id, slow)]
    await entered.wait()
    ids.append(client.subscriptions.subscribe_to_job(job.id, close if kind == "plain" else close_and_wait))
    await eventually(lambda: _equal(len(tasks), 1))
    await asyncio.wait(tasks, timeout=0.1)
    finishing.set()
    async with asyncio.timeout(4):
        await tasks[0]
    await eventually(lambda: _equal(left(), []))


def test_closing__a_synchronous_client_in_a_callback(target: Target) -> None:
    closed = threading.Event()
    client = Reelbase(target.url, target.service_role_key)

    def close(_: JobEvent) -> None:
        client.close()
        closed.set()

    client.subscriptions.subscribe_to_job(client.jobs.create("mp4", 64, 64).id, close)
    assert closed.wait(10)


async def test_error_that_does_not_pass__ends_the_subscription(client: AnyClient, target: Target) -> None:
    guest = client.as_user(target.token(sub=str(uuid4())))
    seen = Seen()

    of_system = guest.subscriptions.subscribe_to_system_events(seen, on_error=seen.on_error)
    await ready(guest, of_system)
    await ended(guest, of_system)
    of_job = guest.subscriptions.subscribe_to_job(uuid4(), seen, on_error=seen.on_error)
    await ended(guest, of_job)

    assert [(type(error), event) for error, event in seen.errors] == [
        (PermissionDenied, None),
        (NotFound, None),
    ]
    assert isinstance(guest.subscriptions.info(of_job).last_error, NotFound)


# Figures ------------------------------------------------------------------------------------


async def test_figures__rate_and_lag(client: AnyClient, service: AsyncReelbase, job: Job) -> None:
    subscription_id = client.subscriptions.subscribe_to_job(job.id, Seen())
    fresh = client.subscriptions.info(subscription_id)
    await advance(service, job, 1, 2, 3)
    await counted(lambda: client.subscriptions.info(subscription_id).delivered, 5)

    info = client.subscriptions.info(subscription_id)

    assert (fresh.job_id, fresh.since) == (info.job_id, info.since)
    assert 0 < info.rate <= 5
    assert info.lag is not None
    assert info.lag_p95 is not None
    assert 0 <= info.lag <= info.lag_p95 < 30
    with contextlib.suppress(AttributeError):
        info.delivered = 0  # type: ignore[misc]
    assert info.delivered == 5


# Outages ------------------------------------------------------------------------------------


@pytest.fixture
async def proxy(target: Target) -> AsyncIterator[Proxy]:
    async with Proxy(target.url) as proxy:
        yield proxy


async def test_system_events__through_an_outage(proxy: Proxy, target: Target, service: AsyncReelbase) -> None:
    name = f"test.{uuid4()}"
    await service.metrics.set_threshold(name, warning=5)
    seen = Seen()
    async with AsyncReelbase(proxy.url, target.service_role_key, timeout=0.5) as client:
        await ready(client, client.subscriptions.subscribe_to_system_events(seen, on_error=seen.on_error))

        for number in range(3):
            await proxy.cut()
            # Crossing there and back, while nobody can read.
            await service.metrics.record(name, 6)
            await service.metrics.record(name, 1)
            await proxy.restore()
            await counted(
                lambda: sum(event.data.get("metric") == name for event in seen.events), 2 * number + 2
            )

    told = [event for event in seen.events if event.data.get("metric") == name]
    assert [event.severity for event in told] == ["warning", "info"] * 3
    assert len({event.id for event in told}) == 6
    assert seen.errors == []


async def test_subscription__that_cannot_begin_yet_begins_later(
    proxy: Proxy, target: Target, job: Job
) -> None:
    seen = Seen()
    await proxy.cut()
    async with AsyncReelbase(proxy.url, target.service_role_key, timeout=0.2) as client:
        of_job = client.subscriptions.subscribe_to_job(job.id, seen, on_error=seen.on_error)
        of_all = client.subscriptions.subscribe_to_all_jobs(Seen(), on_error=seen.on_error)
        with pytest.raises(TimeoutError):
            await client.subscriptions.ready(of_all, timeout=0.3)
        assert phase(client, of_all) in {ConnectionPhase.CONNECTING, ConnectionPhase.POLLING}

        await proxy.restore()
        await ready(client, of_job, of_all)
        await counted(lambda: len(seen.events), 1)

    assert seen.errors == []
