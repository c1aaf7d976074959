"""What the client sends and what it makes of the answers: each operation once, in every mode.

Over real HTTP for synchronous and asynchronous code, in a transaction of its own, and in a batch of its own.
The rules themselves are tested beside the functions.
"""

import inspect
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Any, NoReturn, TypeVar
from uuid import uuid4

import pytest

from reelbase import (
    AsyncReelbase,
    ClaimedJob,
    ClaimOutcome,
    ClaimStatus,
    Conflict,
    ElementState,
    ElementType,
    EventType,
    InvalidArgument,
    Job,
    JobSpec,
    JobStatus,
    LeaseLost,
    MetricSpec,
    NotFound,
    ProcessingStep,
    RateLimited,
    Reelbase,
    Severity,
    StorageOperationSpec,
    StorageOperationType,
    ThresholdState,
    UrlAccessSpec,
    UserRole,
)
from reelbase.execution.call import Call
from reelbase.execution.operation import Async, operation
from reelbase.realtime.watch import Subject
from reelbase.services.table import Services
from support import AnyClient, Target, done, eventually, text

HOUR = timedelta(hours=1)
T = TypeVar("T")

_EXCLUSIVE = "its lease outlives no batch"
_OWN_PACE = "maintenance works at its own pace"
NOT_IN_BATCHES = {
    "acquire_event_consumer": _EXCLUSIVE,
    "commit_event_consumer": _EXCLUSIVE,
    "release_event_consumer": _EXCLUSIVE,
    "seek_event_consumer": _EXCLUSIVE,
    "delete_event_consumer": _EXCLUSIVE,
    "dead_letter_event": _EXCLUSIVE,
    "check_rate_limit": "a refused batch would take its count back",
    "rescue_stalled_jobs": _OWN_PACE,
    "refresh_job_statistics": _OWN_PACE,
    "cleanup_old_jobs": _OWN_PACE,
    "cleanup_old_metrics": _OWN_PACE,
    "enforce_data_retention": _OWN_PACE,
    "verify_database_schema": _OWN_PACE,
    "database_health": _OWN_PACE,
}


class EachInATransaction(Services[Async]):
    """Carries every call in a transaction of its own."""

    def __init__(self, client: AsyncReelbase) -> None:
        super().__init__(self._carry, _no_watch)
        self._client = client

    async def _carry(self, call: Call[T]) -> T:
        async with self._client.transaction() as tx:
            return await tx._carry(call)


class EachInABatch(Services[Async]):
    """Carries every call in a batch of its own; what no batch runs is refused there, and carried alone."""

    def __init__(self, client: AsyncReelbase) -> None:
        super().__init__(self._carry, _no_watch)
        self._client = client

    async def _carry(self, call: Call[T]) -> T:
        batch = self._client.batch()
        handle = batch._add(call)
        if call.function not in NOT_IN_BATCHES:
            await batch.run()
            return handle.result()
        with pytest.raises(InvalidArgument, match=f'a batch can run, not "{call.function}"'):
            await batch.run()
        return await self._client._carry(call)  # type: ignore[no-any-return]


def _no_watch(_: Subject) -> NoReturn:
    raise NotImplementedError


@pytest.fixture(params=["sync", "async", "transaction", "batch"])
async def client(request: pytest.FixtureRequest, target: Target) -> AsyncIterator[AnyClient]:
    """A backend's services, once in each mode."""
    async for services in _in_mode(request.param, target):
        yield services


@pytest.fixture(params=["sync", "async", "transaction", "batch"])
async def own_client(request: pytest.FixtureRequest, own_target: Target) -> AsyncIterator[AnyClient]:
    """A backend's services on a database of their own, once in each mode."""
    async for services in _in_mode(request.param, own_target):
        yield services


async def _in_mode(mode: str, target: Target) -> AsyncIterator[AnyClient]:
    if mode == "sync":
        with Reelbase(target.url, target.service_role_key) as synchronous:
            yield synchronous
        return
    async with AsyncReelbase(
        target.url, target.service_role_key, database_url=target.db_url, transaction_timeout=60
    ) as asynchronous:
        match mode:
            case "transaction":
                yield EachInATransaction(asynchronous)
            case "batch":
                yield EachInABatch(asynchronous)
            case _:
                yield asynchronous


def test_every_operation__has_its_turn_here() -> None:
    source = inspect.getsource(inspect.getmodule(_in_mode) or _in_mode)
    services: Any = Services(print, print)
    missing = [
        f"{group}.{name}"
        for group, service in vars(services).items()
        for name, member in vars(type(service)).items()
        if isinstance(member, operation) and f"client.{group}.{name}(" not in source
    ]

    assert missing == []


async def claimed(client: AnyClient, **properties: object) -> ClaimedJob:
    """A new job, claimed by a worker that sees no other one."""
    job = await done(client.jobs.create("gif", 64, 64, priority=1000, **properties))
    while True:
        taken = (await done(client.queue.claim("tester", formats=["gif"], min_priority=1000, lease=HOUR)))[0]
        if taken.job.id == job.id:
            return taken


async def test_jobs__are_created_many_at_once_each_once(client: AnyClient) -> None:
    later = datetime.now(UTC) + HOUR
    key = str(uuid4())
    specs = [
        JobSpec(output_format="mp4", width=64, height=64, elements=(text(), text()), priority=7),
        JobSpec(output_format="gif", width=32, height=32, idempotency_key=key, available_at=later),
    ]

    first, second = await done(client.jobs.create_many(specs))
    again = await done(client.jobs.create_many(specs[1:]))

    assert (first.priority, len(await done(client.elements.list(first.id)))) == (7, 2)
    assert (second.idempotency_key, second.available_at) == (key, later)
    assert [(job.id, job.replays) for job in again] == [(second.id, 1)]


async def test_idempotency_key__with_another_request_is_a_conflict(client: AnyClient) -> None:
    key = str(uuid4())
    job = await done(client.jobs.create("mp4", 64, 64, idempotency_key=key, max_retries=1))

    assert (await done(client.jobs.create("mp4", 64, 64, idempotency_key=key, max_retries=1))).id == job.id
    with pytest.raises(Conflict) as caught:
        await done(client.jobs.create("mp4", 64, 65, idempotency_key=key, max_retries=1))

    assert caught.value.error == "idempotency_conflict"


async def test_jobs__are_found_by_each_filter(client: AnyClient) -> None:
    campaign = {"campaign": str(uuid4())}
    mp4 = await done(client.jobs.create("mp4", 64, 64, metadata=campaign))
    gif = await done(client.jobs.create("gif", 64, 64, metadata=campaign))
    await done(client.jobs.update_status(gif.id, JobStatus.FAILED, error_message="Out of turpentine."))

    async def found(**filters: object) -> list[object]:
        page = await done(client.jobs.list(metadata=campaign, **filters))
        return [job.id for job in page.items]

    assert await found() == [gif.id, mp4.id]
    assert await found(output_format="mp4") == [mp4.id]
    assert await found(from_time=mp4.created_at, to_time=gif.created_at) == [mp4.id]
    assert await found(error_text="turpentine") == [gif.id]
    assert await found(sort="finished_at") == [gif.id]
    page = await done(client.jobs.list(metadata=campaign, page_size=1, with_total=True))
    assert (len(page.items), page.total) == (1, 2)


async def test_job__is_cancelled_retried_and_deleted(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    cancelled = await done(client.jobs.cancel(job.id, reason="No."))
    assert (cancelled.status, cancelled.error_message) == (JobStatus.CANCELLED, "No.")

    failed = await done(client.jobs.create("mp4", 64, 64))
    with pytest.raises(Conflict) as caught:
        await done(client.jobs.delete(failed.id))
    assert caught.value.error == "job_not_finished"
    await done(client.jobs.update_status(failed.id, JobStatus.FAILED))
    retried = await done(client.jobs.retry(failed.id, priority=3))
    assert (retried.status, retried.priority) == (JobStatus.PENDING, 3)

    deleted = await done(client.jobs.delete(failed.id, force=True))
    assert deleted.id == failed.id
    with pytest.raises(NotFound):
        await done(client.jobs.get(failed.id))


async def test_details__hold_all_that_belongs_to_a_job(client: AnyClient) -> None:
    made = await done(client.jobs.create_video("mp4", 64, 64, elements=[text()]))
    operation = await done(
        client.storage.log(StorageOperationType.UPLOAD, "videos", "a.mp4", job_id=made.job.id)
    )
    await done(client.access.log(made.job.id, "https://cdn.example.com/a.mp4", bytes_sent=5))

    details = await done(client.jobs.get_with_details(made.job.id))

    assert details.job.id == made.job.id
    assert (details.elements, details.timeline) == (made.elements, (made.step,))
    assert (details.storage_operations, details.claims) == ((operation,), ())
    assert (details.url_accesses, details.bytes_served) == (1, 5)


async def test_details__tell_others_than_backends_less(target: Target) -> None:
    async with target.user() as client:
        job = await client.jobs.create("mp4", 64, 64)

        details = await client.jobs.get_with_details(job.id)

    assert (details.claims, details.url_accesses, details.bytes_served) == (None, None, None)


async def test_progress__is_calculated_from_the_steps(client: AnyClient) -> None:
    taken = await claimed(client)
    step = await done(client.timeline.start(taken.job.id, ProcessingStep.ENCODING, claim=taken.claim))
    await done(client.timeline.update_progress(step.id, 50, claim=taken.claim))

    assert await done(client.jobs.calculate_progress(taken.job.id)) == Decimal(35)
    assert (await done(client.jobs.get(taken.job.id))).progress_percentage == 35


async def test_step__follows_the_progress_that_is_told(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    element = await done(client.elements.add(job.id, text()))
    await done(client.jobs.update_status(job.id, JobStatus.PROCESSING))
    moved = await done(client.jobs.update_progress(job.id, 30, current_step=ProcessingStep.ENCODING))
    step = await done(client.timeline.start(job.id, ProcessingStep.ENCODING))

    assert (moved.progress_percentage, moved.current_step) == (30, ProcessingStep.ENCODING)
    assert await done(client.timeline.get(job.id)) == [step]
    assert await done(client.elements.list(job.id)) == [element]


async def test_elements__are_composed_and_followed(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    added = await done(client.elements.add_many(job.id, [text("a", z_index=3), text("b"), text("c")]))
    assert [element.z_index for element in added] == [3, 0, 0]

    removed = await done(client.elements.delete(added[1].id))
    ordered = await done(client.elements.reorder(job.id, [added[2].id, added[0].id]))
    updated = await done(client.elements.update_status(added[0].id, processed=True))

    assert removed.id == added[1].id
    assert [element.text_content for element in ordered] == ["c", "a"]
    assert updated.processing_state is ElementState.PROCESSED
    page = await done(
        client.elements.find(
            job_id=job.id, type=ElementType.TEXT, processing_state=ElementState.PENDING, page_size=1
        )
    )
    assert ([element.id for element in page.items], page.next_cursor) == ([added[2].id], None)


async def test_queue__claims_holds_and_completes(client: AnyClient) -> None:
    taken = await claimed(client)
    assert (taken.attempt, taken.job.status) == (1, JobStatus.PROCESSING)

    await done(client.queue.pause_job(taken.job.id))
    held, unknown = await done(client.queue.heartbeat([taken.claim, 2**40], lease=2 * HOUR))
    await done(client.queue.resume_job(taken.job.id))
    ended = await done(
        client.queue.complete(taken.job.id, taken.claim, output_size=9, s3_bucket="videos", s3_key="a.gif")
    )

    assert (held.state, held.job_id, held.pause_requested) == (ClaimStatus.HELD, taken.job.id, True)
    assert held.lease_expires_at > taken.lease_expires_at + timedelta(minutes=30)
    assert (unknown.state, unknown.job_id) == (ClaimStatus.LOST, None)
    assert (ended.status, ended.output_size, ended.s3_key) == (JobStatus.COMPLETED, 9, "a.gif")
    assert await done(client.queue.complete(taken.job.id, taken.claim)) == ended
    with pytest.raises(LeaseLost):
        await done(client.queue.release(taken.job.id, taken.claim))


async def test_queue__takes_failures_and_what_is_given_back(client: AnyClient) -> None:
    taken = await claimed(client)
    assert (await done(client.queue.release(taken.job.id, taken.claim))).status is JobStatus.PENDING
    again = (await done(client.queue.claim("tester", formats=["gif"], min_priority=1000)))[0]

    waiting = await done(
        client.queue.fail(
            taken.job.id, again.claim, "disk_full", "No room.", error_details={"free": 0}, retry_in=HOUR
        )
    )
    details = await done(client.jobs.get_with_details(taken.job.id))

    assert (waiting.status, waiting.retry_count) == (JobStatus.PENDING, 1)
    assert waiting.available_at > datetime.now(UTC) + timedelta(minutes=55)
    assert [claim.outcome for claim in details.claims] == [ClaimOutcome.RELEASED, ClaimOutcome.RETRIED]
    assert details.claims[1].error_message == "No room."
    other = await claimed(client)
    failed = await done(client.queue.fail(other.job.id, other.claim, "bad", "Bad.", retryable=False))
    assert failed.status is JobStatus.FAILED


@pytest.mark.local_stack
async def test_queue__is_paused_and_rescued_as_a_whole(own_target: Target, own_client: AnyClient) -> None:
    client = own_client
    job = await done(client.jobs.create("mp4", 64, 64))

    assert (await done(client.queue.pause())).paused
    assert await done(client.queue.claim("tester")) == []
    resumed = await done(client.queue.resume())
    await done(client.queue.claim("tester"))
    with own_target.connect() as session:
        session.execute("update job_claims set lease_expires_at = now()")
    stuck = await done(client.queue.state())
    rescued = await done(client.queue.rescue_stalled())

    assert (resumed.paused, resumed.waiting, resumed.oldest_available_at) == (False, 1, job.available_at)
    assert (stuck.running, stuck.expired) == (1, 1)
    assert [(found.id, found.rescue_count) for found in rescued] == [(job.id, 1)]


async def test_events__are_read_by_type_and_across_jobs(client: AnyClient) -> None:
    user_id = uuid4()
    start = await done(client.events.cursor())
    jobs: list[Job] = [await done(client.jobs.create("mp4", 64, 64, user_id=user_id)) for _ in range(2)]
    await done(client.jobs.cancel(jobs[0].id))

    page = await done(client.events.read_all(after=start, user_id=user_id, max_events=2))
    rest = await done(client.events.read_all(after=page.next_cursor, user_id=user_id))
    cancelled = await done(client.events.read_all(after=start, user_id=user_id, status=[JobStatus.CANCELLED]))

    assert [(event.job_id, event.user_id) for event in page.items] == [(job.id, user_id) for job in jobs]
    assert (page.more, [event.type for event in rest.items]) == (True, [EventType.JOB_STATUS])
    assert cancelled.items == rest.items
    assert await done(client.events.read(jobs[0].id, types=[EventType.JOB_STATUS])) == list(rest.items)


async def test_consumers__keep_their_place_for_one_at_a_time(client: AnyClient) -> None:
    name = f"test.{uuid4()}"
    start = await done(client.events.cursor())
    held = await done(client.consumers.acquire(name, "one", lease_time=HOUR, start=start))
    assert (held.cursor, held.holder) == (start, "one")

    with pytest.raises(Conflict) as busy:
        await done(client.consumers.acquire(name, "two"))
    await done(client.jobs.create("mp4", 64, 64))
    after = (await done(client.events.read_all(after=held.cursor))).next_cursor
    committed = await done(client.consumers.commit(name, held.lease, cursor=after))
    with pytest.raises(Conflict) as behind:
        await done(client.consumers.commit(name, held.lease, cursor=start))
    assert name in [consumer.name for consumer in await done(client.consumers.list())]
    await done(client.consumers.release(name, held.lease))
    with pytest.raises(LeaseLost):
        await done(client.consumers.commit(name, held.lease))
    sought = await done(client.consumers.seek(name, cursor=start))

    assert (busy.value.error, behind.value.error) == ("consumer_busy", "cursor_behind")
    assert (committed.cursor, committed.committed_at is not None) == (after, True)
    assert (sought.cursor, (await done(client.consumers.delete(name))).holder) == (start, None)


async def test_consumers__commit_events_and_give_some_up(client: AnyClient) -> None:
    name = f"test.{uuid4()}"
    user_id = uuid4()
    held = await done(client.consumers.acquire(name, "one", start=await done(client.events.cursor())))
    for _ in range(3):
        await done(client.jobs.create("mp4", 64, 64, user_id=user_id))
    events = (await done(client.events.read_all(after=held.cursor, user_id=user_id))).items

    committed = await done(client.consumers.commit(name, held.lease, event_id=events[0].id, lease_time=HOUR))
    await done(client.consumers.dead_letter(name, held.lease, events[1].id, 8, "It broke.", lease_time=HOUR))
    page = await done(client.consumers.dead_letters(name, page_size=1))
    after = (await done(client.consumers.acquire(name, "one"))).cursor

    assert committed.lease_expires_at > datetime.now(UTC) + timedelta(minutes=55)
    (letter,) = page.items
    assert (letter.consumer, letter.event, letter.attempts, letter.error) == (name, events[1], 8, "It broke.")
    assert (await done(client.events.read_all(after=after, user_id=user_id))).items == events[2:]
    assert await done(client.consumers.discard(name, letter.event_id)) == letter
    with pytest.raises(NotFound):
        await done(client.consumers.discard(name, letter.event_id))


async def test_storage__is_logged_and_reported(client: AnyClient) -> None:
    bucket = f"bucket-{uuid4()}"
    key = str(uuid4())
    logged = await done(
        client.storage.log(
            StorageOperationType.UPLOAD, bucket, "a.mp4", file_size=1000, duration_ms=50, idempotency_key=key
        )
    )
    failed, again = await done(
        client.storage.log_many(
            [
                StorageOperationSpec(
                    operation=StorageOperationType.DELETE, bucket=bucket, key="b.mp4", success=False
                ),
                StorageOperationSpec(
                    operation=StorageOperationType.UPLOAD, bucket=bucket, key="a.mp4", idempotency_key=key
                ),
            ]
        )
    )

    assert again == logged
    assert (await done(client.storage.list(bucket=bucket))).items == (failed, logged)
    assert (await done(client.storage.list_failed(bucket=bucket))).items == (failed,)
    totals = {total.operation: total for total in await done(client.storage.statistics(bucket=bucket))}
    assert totals[StorageOperationType.UPLOAD].total_bytes == 1000
    assert totals[StorageOperationType.DELETE].failure_count == 1
    usage = await done(client.storage.usage_by_bucket(bucket=bucket))
    assert [used.stored_bytes for used in usage] == [1000]
    performance = await done(client.storage.performance(bucket=bucket))
    assert [speed.p50_bytes_per_second for speed in performance] == [20000]


async def test_accesses__are_logged_and_reported(client: AnyClient) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))
    url = "https://cdn.example.com/a.mp4"
    first = await done(client.access.log(job.id, url, client_ip="203.0.113.9", country="DE", latency_ms=12.5))
    second = (await done(client.access.log_many([UrlAccessSpec(job_id=job.id, url=url, status_code=404)])))[0]

    assert first.client_ip in {ip_network("203.0.113.0/24"), ip_address("203.0.113.9")}
    page = await done(client.access.list(job_id=job.id))
    assert {access.id for access in page.items} == {first.id, second.id}
    totals = await done(client.access.statistics(job_id=job.id))
    assert (totals.access_count, totals.error_count) == (2, 1)
    groups = await done(client.access.grouped_by("country", job_id=job.id))
    assert {group.value: group.access_count for group in groups} == {"DE": 1, None: 1}


async def test_security__tells_who_is_calling(client: AnyClient, target: Target) -> None:
    job = await done(client.jobs.create("mp4", 64, 64))

    assert await done(client.security.user_role()) is UserRole.SERVICE_ROLE
    assert await done(client.security.is_admin()) is True
    assert await done(client.security.can_subscribe_to_job(job.id)) is True
    address = await done(client.security.client_ip())
    assert address is None or address.version in {4, 6}
    async with target.anonymous() as stranger:
        assert await stranger.security.user_role() is UserRole.ANON
        assert await stranger.security.can_subscribe_to_job(job.id) is False


async def test_security__counts_and_records(client: AnyClient) -> None:
    kind = f"test.x{uuid4().hex}"
    job = await done(client.jobs.create("mp4", 64, 64))
    event = await done(
        client.security.log_event(kind, details={"n": 1}, severity=Severity.CRITICAL, job_id=job.id)
    )
    limits = [await done(client.security.check_rate_limit(kind, 1, timedelta(days=1))) for _ in range(2)]

    page = await done(client.security.list_events(event_type=kind, severity=Severity.CRITICAL))
    assert page.items == (event,)
    assert (event.job_id, event.actor_role) == (job.id, UserRole.SERVICE_ROLE)
    assert [limit.allowed for limit in limits] == [True, False]
    assert limits[1].retry_after > 0


@pytest.mark.local_stack
async def test_anonymous_client__that_asks_too_much_is_told_when_to_come_back(own_target: Target) -> None:
    with own_target.connect() as session:
        session.execute("update private.settings set value = '1' where name = 'anonymous_jobs_per_hour'")
    async with own_target.anonymous() as client:
        await client.jobs.create("mp4", 64, 64)
        with pytest.raises(RateLimited) as caught:
            await client.jobs.create("mp4", 64, 64, idempotency_key="again")

    assert caught.value.error == "rate_limited"
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 3600
    assert caught.value.retries == 0


async def test_metrics__are_recorded_judged_and_read(client: AnyClient) -> None:
    name = f"test.{uuid4()}"
    limits = await done(client.metrics.set_threshold(name, warning=5, critical=9))
    first = await done(client.metrics.record(name, 1.5, unit="s", labels={"host": "a"}))
    await done(client.metrics.record_many([MetricSpec(metric=name, value=Decimal(7), labels={"host": "b"})]))

    assert limits.state is ThresholdState.OK
    latest = await done(client.metrics.latest(metrics=[name], labels={"host": "a"}))
    assert latest == [first]
    buckets = await done(client.metrics.series(name, bucket=timedelta(days=1)))
    assert sum(bucket.count for bucket in buckets) == 2
    assert next(t.state for t in await done(client.metrics.thresholds()) if t.metric == name) == "warning"
    events = await done(client.metrics.system_events(severity=Severity.WARNING))
    assert name in [event.data.get("metric") for event in events.items]
    start = await done(client.metrics.system_event_cursor())
    await done(client.metrics.record(name, 9))
    await done(client.metrics.record(name, 1))

    async def readable() -> None:
        # Not before the oldest open transaction has ended, of whatever else runs on the server.
        page = await done(client.metrics.read_system_events(after=start, types=["metric.threshold"]))
        ours = [event for event in page.items if event.data["metric"] == name]
        assert [event.severity for event in ours] == [Severity.CRITICAL, Severity.INFO]

    await eventually(readable)
    critical = await done(
        client.metrics.read_system_events(after=start, severity=[Severity.CRITICAL], max_events=1)
    )
    assert (critical.items[0].severity, critical.more) == (Severity.CRITICAL, True)
    assert (await done(client.metrics.delete_threshold(name))).metric == name


@pytest.mark.local_stack
async def test_analytics__are_there_before_anything_happens_and_after(own_client: AnyClient) -> None:
    client = own_client
    empty = await done(client.analytics.job_statistics())
    idle = await done(client.analytics.system_stats())
    taken = await claimed(client)
    step = await done(client.timeline.start(taken.job.id, ProcessingStep.ENCODING, claim=taken.claim))
    await done(client.timeline.complete(step.id, cpu_usage=150, memory_usage=2**30, claim=taken.claim))
    await done(client.queue.complete(taken.job.id, taken.claim, output_size=5))
    counted = await done(client.analytics.refresh())
    statistics = await done(client.analytics.job_statistics())
    steps = await done(client.analytics.processing_metrics())
    stats = await done(client.analytics.system_stats())

    assert (empty.created, empty.success_rate, empty.days) == (0, None, ())
    assert (idle.pending, idle.hours) == (0, ())
    assert counted.more is False
    assert (statistics.created, statistics.completed, statistics.success_rate) == (1, 1, 100)
    assert (statistics.output_bytes, sum(day.completed for day in statistics.days)) == (5, 1)
    assert [(ended.step, ended.peak_memory_usage) for ended in steps] == [(ProcessingStep.ENCODING, 2**30)]
    assert (stats.completed_24h, stats.workers, stats.produced_bytes) == (1, 1, 5)


@pytest.mark.local_stack
async def test_maintenance__removes_and_looks(own_client: AnyClient) -> None:
    client = own_client
    await done(client.jobs.create("mp4", 64, 64))

    assert await done(client.maintenance.cleanup_old_jobs()) == 0
    assert await done(client.maintenance.cleanup_old_metrics(days=1)) == 0
    assert "jobs" in [kept.table_name for kept in await done(client.maintenance.enforce_retention())]
    assert isinstance(await done(client.maintenance.verify_schema()), list)
    health = await done(client.maintenance.health())

    assert health.queue == {"pending": 1, "processing": 0, "stalled": 0}
    assert health.problems == ()
