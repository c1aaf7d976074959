"""The types that checkers infer for users of the client. Never run: `make check` and test_api read it."""

from collections.abc import Coroutine
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any, assert_type
from uuid import UUID

from reelbase import (
    AnyJobEvent,
    AsyncConsumer,
    AsyncReelbase,
    AsyncRunningJob,
    AttemptFailed,
    ClaimedJob,
    ClaimState,
    Consumer,
    DatabaseHealth,
    Element,
    ElementAdded,
    ElementPage,
    ElementRemoved,
    ElementSpec,
    EventConsumer,
    EventDeadLetter,
    EventPage,
    Handle,
    HealthReport,
    Job,
    JobCreated,
    JobDetails,
    JobEvent,
    JobPage,
    JobPaused,
    JobResumed,
    JobSpec,
    JobStatus,
    JobStatusChanged,
    JobStatusData,
    Metric,
    OtherEvent,
    Overflow,
    ProcessingStep,
    QueueState,
    RateLimit,
    Reelbase,
    RunningJob,
    SchemaProblem,
    SecurityEventPage,
    Severity,
    StepCompleted,
    StepData,
    StepPerformance,
    StepProgressed,
    StepStarted,
    StorageOperation,
    StorageOperationData,
    StorageOperationLogged,
    StorageOperationType,
    SubscriptionId,
    SubscriptionInfo,
    TimelineStep,
    UrlAccess,
    UrlAccessGroup,
    UserRole,
    VideoJob,
    read_event,
)
from reelbase.execution.paging import AsyncListing
from reelbase.models import carrying
from reelbase.realtime.stream import AsyncEventStream, EventStream
from reelbase.transactions import AsyncTransaction, PoolStats, Transaction


def synchronous(client: Reelbase, job_id: UUID, element: ElementSpec, job: JobSpec) -> None:
    assert_type(client.jobs.get(job_id), Job)
    assert_type(client.with_timeout(2).jobs.get(job_id), Job)
    assert_type(client.jobs.list(status=[JobStatus.PENDING]), JobPage)
    assert_type(client.jobs.create("mp4", 64, 64), Job)
    assert_type(client.jobs.create_video("mp4", 64, 64, elements=[element]), VideoJob)
    assert_type(client.elements.add(job_id, element), Element)
    assert_type(client.elements.list(job_id), list[Element])
    assert_type(client.timeline.start(job_id, ProcessingStep.UPLOAD), TimelineStep)
    assert_type(client.timeline.get(job_id), list[TimelineStep])
    assert_type(client.events.read(job_id), list[AnyJobEvent])
    assert_type(client.jobs.run(job), Job | RunningJob)
    assert_type(client.jobs.wait_for(job_id, status=[JobStatus.PROCESSING], timeout=3), Job)
    assert_type(client.as_user("token"), Reelbase)
    assert_type(client.health.check(), HealthReport)
    assert_type(client.health.ping(), float)
    assert_type(client.health.verify_schema(), list[SchemaProblem])
    assert_type(client.jobs.watch(job_id), EventStream)
    for event in client.jobs.watch(job_id):
        assert_type(event, JobEvent)


def lists(client: Reelbase) -> None:
    for job in client.jobs.list():
        assert_type(job, Job)
    for access in client.access.list():
        assert_type(access, UrlAccess)
    for event in client.events.read_all():
        narrowed(event)
    assert_type(client.events.read_all().items, tuple[AnyJobEvent, ...])
    assert_type(client.jobs.list().items, tuple[Job, ...])


def events(row: dict[str, Any], job: Job) -> None:
    event = read_event(row)
    assert_type(event, AnyJobEvent)
    narrowed(event)
    if isinstance(event, StepStarted | StepCompleted):
        assert_type(event.data, StepData)
        assert_type(carrying(event, job).job, Job)
    match event:
        case AttemptFailed():
            assert_type(event.data, JobStatusData)
        case StepCompleted(data=StepData(success=False)):
            assert_type(event, StepCompleted)
        case ElementAdded() | ElementRemoved():
            assert_type(event.data.element_id, UUID)
        case _:
            pass


def subscriptions(client: Reelbase, job_id: UUID) -> None:
    def of_status(event: JobCreated | JobStatusChanged | JobPaused | JobResumed) -> None:
        narrowed(event)

    async def of_steps(event: StepStarted | StepProgressed | StepCompleted) -> None:
        assert_type(event.data, StepData)

    subscribing = client.subscriptions
    assert_type(subscribing.subscribe_to_job(job_id, narrowed, queue_size=5), SubscriptionId)
    subscribing.subscribe_to_all_jobs(print, overflow=Overflow.LATEST)
    subscribing.subscribe_to_job_status_changes(of_status, job_id)
    subscribing.subscribe_to_processing_timeline_updates(of_steps)
    subscribing.subscribe_to_all_jobs(of_status)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    subscribing.subscribe_to_all_jobs(print, after=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(
        subscribing.subscribe_to_system_events(lambda event: event.data, severity=Severity.CRITICAL),
        SubscriptionId,
    )
    assert_type(subscribing.active_subscriptions, list[SubscriptionInfo])
    subscribing.unsubscribe(job_id)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def asynchronous_subscriptions(client: AsyncReelbase, job_id: UUID) -> None:
    subscription_id = client.subscriptions.subscribe_to_job(job_id, narrowed, on_error=print)
    assert_type(subscription_id, SubscriptionId)
    assert_type(client.subscriptions.info(subscription_id), SubscriptionInfo)
    assert_type(await client.subscriptions.unsubscribe(subscription_id), bool)
    assert_type(await client.subscriptions.unsubscribe_all(), int)


def narrowed(event: JobEvent) -> None:
    """The class of an event tells the type of its data."""
    match event:
        case AttemptFailed():
            assert_type(event, AttemptFailed)
            assert_type(event.data.error_message, str | None)
        case JobStatusChanged(data=JobStatusData(output_url=str(url))):
            assert_type(event.data.from_status, JobStatus)
            assert_type(url, str)
        case StepCompleted(data=StepData(success=False) as step):
            assert_type(step.step, ProcessingStep)
            assert_type(event.data.duration_ms, int | None)
        case JobCreated() | JobPaused() | JobResumed():
            assert_type(event, JobCreated | JobPaused | JobResumed)
        case StorageOperationLogged(data=data):
            assert_type(data, StorageOperationData)
        case OtherEvent():
            assert_type(event.data, dict[str, Any])
        case _:
            assert_type(event, JobEvent)


def services(client: Reelbase, job_id: UUID, element: ElementSpec, job: JobSpec) -> None:
    assert_type(client.jobs.create_many([job]), list[Job])
    assert_type(client.jobs.get_with_details(job_id), JobDetails)
    assert_type(client.jobs.calculate_progress(job_id), Decimal)
    assert_type(client.elements.add_many(job_id, [element]), list[Element])
    assert_type(client.elements.find(), ElementPage)
    assert_type(client.queue.claim("worker", lease=timedelta(seconds=5)), list[ClaimedJob])
    assert_type(client.queue.heartbeat([1]), list[ClaimState])
    assert_type(client.queue.state(), QueueState)
    assert_type(client.events.read_all(), EventPage)
    assert_type(client.events.cursor(), str)
    assert_type(client.consumers.acquire("billing", "host-1"), EventConsumer)
    assert_type(client.consumers.list(), list[EventConsumer])
    assert_type(client.consumers.dead_letters().items, tuple[EventDeadLetter, ...])
    assert_type(client.events.consumer("billing"), Consumer)
    assert_type(client.storage.log(StorageOperationType.UPLOAD, "videos", "a.mp4"), StorageOperation)
    assert_type(client.access.log(job_id, "https://example.com"), UrlAccess)
    assert_type(client.access.grouped_by("day"), list[UrlAccessGroup])
    assert_type(client.security.user_role(), UserRole)
    assert_type(client.security.client_ip(), IPv4Address | IPv6Address | None)
    assert_type(client.security.list_events(), SecurityEventPage)
    assert_type(client.security.check_rate_limit("key", 1, timedelta(hours=1)), RateLimit)
    assert_type(client.metrics.record("queue.length", 3), Metric)
    assert_type(client.maintenance.health(), DatabaseHealth)
    assert_type(client.analytics.processing_metrics(), list[StepPerformance])


async def asynchronous(client: AsyncReelbase, job_id: UUID, element: ElementSpec) -> None:
    getting = client.jobs.get(job_id)
    _ = assert_type(getting, Coroutine[Any, Any, Job])
    listing = client.jobs.list()
    _ = assert_type(listing, AsyncListing[JobPage])
    async for job in listing:
        assert_type(job, Job)
    async for element_ in client.elements.find():
        assert_type(element_, Element)
    async for logged in client.events.read_all():
        narrowed(logged)
    consumer = client.events.consumer("billing")
    _ = assert_type(consumer, AsyncConsumer)
    async for told in consumer:
        narrowed(told)
        await consumer.commit(told)
    async for job in await client.jobs.list():
        assert_type(job, Job)
    assert_type(await getting, Job)
    assert_type(await client.jobs.list(), JobPage)
    assert_type(await client.elements.add(job_id, element), Element)
    assert_type(await client.timeline.get(job_id), list[TimelineStep])
    assert_type(await client.queue.claim("worker"), list[ClaimedJob])
    assert_type(await client.security.client_ip(), IPv4Address | IPv6Address | None)
    running = await client.jobs.run(JobSpec(output_format="mp4", width=64, height=64), wait=3)
    assert_type(running, Job | AsyncRunningJob)
    assert_type(await client.jobs.wait_for(job_id), Job)
    assert_type(client.as_user("token"), AsyncReelbase)
    assert_type(await client.health.check(record=True), HealthReport)
    assert_type(await client.health.verify_schema(), list[SchemaProblem])
    assert_type(client.jobs.watch(job_id), AsyncEventStream)
    async for event in client.jobs.watch(job_id):
        assert_type(event, JobEvent)


def transactions(client: Reelbase, job_id: UUID) -> None:
    with client.transaction(timeout=1, isolation="serializable") as tx:
        assert_type(tx, Transaction)
        assert_type(tx.jobs.get(job_id), Job)
        assert_type(tx.elements.list(job_id), list[Element])
        with tx.savepoint() as nothing:
            assert_type(nothing, None)
        tx.rollback()
    assert_type(client.run_transaction(lambda tx: tx.jobs.get(job_id)), Job)
    assert_type(client.pool_stats(), PoolStats)


async def asynchronous_transactions(client: AsyncReelbase, job_id: UUID) -> None:
    async def work(tx: AsyncTransaction) -> list[Element]:
        return await tx.elements.list(job_id)

    async with client.transaction() as tx:
        assert_type(tx, AsyncTransaction)
        assert_type(await tx.jobs.get(job_id), Job)
        async with tx.savepoint():
            await tx.rollback()
    assert_type(await client.run_transaction(work, attempts=2), list[Element])
    assert_type(client.pool_stats(), PoolStats)


def batches(client: Reelbase, element: ElementSpec) -> None:
    with client.batch() as batch:
        job = batch.jobs.create("mp4", 64, 64)
        assert_type(job, Handle[Job])
        assert_type(job.ref.id, UUID)
        elements = batch.elements.list(job.ref.id)
        assert_type(elements, Handle[list[Element]])
        assert_type(elements.ref[0].id, UUID)
        assert_type(batch.elements.add(job["id"], element), Handle[Element])
        _ = batch.jobs.watch  # type: ignore[arg-type]  # pyright: ignore[reportAttributeAccessIssue]
    assert_type(job.result(), Job)


async def asynchronous_batches(client: AsyncReelbase, element: ElementSpec) -> None:
    async with client.batch() as batch:
        made = batch.jobs.create_video("mp4", 64, 64, elements=[element])
        assert_type(made, Handle[VideoJob])
        assert_type(made.ref.job.id, UUID)
    assert_type(made.result(), VideoJob)


def refused(client: Reelbase, job_id: UUID) -> None:
    """Each ignore must be needed: warn_unused_ignores is on."""
    client.jobs.get()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.jobs.get("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.queue.complete(job_id)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.queue.claim("w", lease=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.access.grouped_by("moon")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.transaction(isolation="none")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with client.batch() as batch:
        batch.jobs.get("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        job = batch.jobs.create("mp4", 64, 64)
        batch.jobs.get(job)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        batch.jobs.get(job.ref.status)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.jobs.update_status(job_id, "done")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
