"""`client.subscriptions`: functions that are called with events as they happen."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import Any, Self, TypedDict, Unpack
from uuid import UUID

from reelbase.execution.forks import forks
from reelbase.models import (
    AnyJobEvent,
    ElementAdded,
    ElementRemoved,
    ElementUpdated,
    EventType,
    JobCreated,
    JobEvent,
    JobPaused,
    JobResumed,
    JobStatusChanged,
    Severity,
    StepCompleted,
    StepProgressed,
    StepStarted,
    StorageOperationLogged,
    SystemEvent,
)
from reelbase.realtime.background import BackgroundLoop, until_closed
from reelbase.realtime.backlog import Backlog, Overflow
from reelbase.realtime.callbacks import Caller, ThreadCaller, inside_callback, task_of_callback
from reelbase.realtime.subscription import Subscription
from reelbase.realtime.subscription_info import SubscriptionId, SubscriptionInfo, SubscriptionKind
from reelbase.realtime.system_events import SystemTail
from reelbase.realtime.topic import Streams, Topic
from reelbase.realtime.watch import Tail, Watch, several

logger = logging.getLogger("reelbase.subscriptions")

QUEUE_SIZE = 100
CLOSING_SECONDS = 5.0
"""How long a closing client waits for callbacks that run."""
_ENDED_REMEMBERED = 100

_STATUS = frozenset(
    {EventType.JOB_CREATED, EventType.JOB_STATUS, EventType.JOB_PAUSED, EventType.JOB_RESUMED}
)
_STEPS = frozenset({EventType.STEP_STARTED, EventType.STEP_PROGRESS, EventType.STEP_COMPLETED})
_ELEMENTS = frozenset({EventType.ELEMENT_ADDED, EventType.ELEMENT_UPDATED, EventType.ELEMENT_REMOVED})
_STORAGE = frozenset({EventType.STORAGE_OPERATION})
_ENDING = _STEPS | {EventType.JOB_STATUS}

JobCallback = Callable[[AnyJobEvent], object]
StatusCallback = Callable[[JobCreated | JobStatusChanged | JobPaused | JobResumed], object]
StepCallback = Callable[[StepStarted | StepProgressed | StepCompleted], object]
ElementCallback = Callable[[ElementAdded | ElementUpdated | ElementRemoved], object]
StorageCallback = Callable[[StorageOperationLogged], object]
SystemCallback = Callable[[SystemEvent], object]
OnError = Callable[[Exception, AnyJobEvent | SystemEvent | None], object]


class Options(TypedDict, total=False):
    """How events are delivered."""

    on_error: OnError | None
    """Called with what the callback raised and the event; with None for it when the subscription ends so."""
    overflow: Overflow
    """What happens to events that come faster than the callback takes them; CATCH_UP unless given."""
    queue_size: int
    """How many events may wait; 100 unless given."""


class _Subscribing(ABC):
    """What both modes share.

    A subscription calls its callback, a function or a coroutine function, with one event at a time, in order.
    One that raises is reported to `on_error`, else logged, and called with the next event all the same.
    Subscribing returns an id at once; the callback is called until `unsubscribe`, the end of the job if it
    is of one job, an error that does not pass, or the client's own end.

    What is said of one job begins with its first event, what is said of all jobs now; `ready` tells when.
    """

    def __init__(self, streams: Streams, host: Self | None) -> None:
        self._streams = streams
        self._host = host
        self._running: dict[SubscriptionId, tuple[Subscription, asyncio.Task[None]]] = {}
        self._to_close: dict[asyncio.Task[None], Subscription] = {}
        """Those of guests too."""
        self._ended: deque[SubscriptionInfo] = deque(maxlen=_ENDED_REMEMBERED)
        forks.register(self)

    def subscribe_to_job(
        self,
        job_id: UUID,
        callback: JobCallback,
        *,
        after_seq: int = 0,
        types: EventType | Iterable[EventType] | None = None,
        **options: Unpack[Options],
    ) -> SubscriptionId:
        """Every event of a job after a `seq`, to the end of the job."""
        topic = _of_job(SubscriptionKind.JOB, job_id, several(types), after_seq)
        return self._subscribe(topic, callback, options)

    def subscribe_to_all_jobs(
        self,
        callback: JobCallback,
        *,
        after: str = "now",
        types: EventType | Iterable[EventType] | None = None,
        user_id: UUID | None = None,
        **options: Unpack[Options],
    ) -> SubscriptionId:
        """Every event of all jobs that the caller may see; `after` a cursor, `now` or the `beginning`."""
        subject = Tail(after=after, types=several(types), user_id=user_id)
        return self._subscribe(Topic(kind=SubscriptionKind.ALL_JOBS, subject=subject), callback, options)

    def subscribe_to_active_jobs(self, callback: JobCallback, **options: Unpack[Options]) -> SubscriptionId:
        """What happens to jobs that wait or are processed, up to the event that ends each."""
        topic = Topic(kind=SubscriptionKind.ACTIVE_JOBS, subject=Tail(), wants=_is_of_an_active_job)
        return self._subscribe(topic, callback, options)

    def subscribe_to_job_status_changes(
        self, callback: StatusCallback, job_id: UUID | None = None, **options: Unpack[Options]
    ) -> SubscriptionId:
        """Creation, each change of status, and pauses; of one job or of all."""
        return self._subscribe(_of(SubscriptionKind.JOB_STATUS, job_id, _STATUS), callback, options)

    def subscribe_to_processing_timeline_updates(
        self, callback: StepCallback, job_id: UUID | None = None, **options: Unpack[Options]
    ) -> SubscriptionId:
        """Steps that start, progress and complete; of one job or of all."""
        return self._subscribe(_of(SubscriptionKind.TIMELINE, job_id, _STEPS), callback, options)

    def subscribe_to_element_updates(
        self, callback: ElementCallback, job_id: UUID | None = None, **options: Unpack[Options]
    ) -> SubscriptionId:
        """Elements that are added, updated and removed; of one job or of all."""
        return self._subscribe(_of(SubscriptionKind.ELEMENTS, job_id, _ELEMENTS), callback, options)

    def subscribe_to_storage_operations(
        self, callback: StorageCallback, job_id: UUID | None = None, **options: Unpack[Options]
    ) -> SubscriptionId:
        """Storage operations that are logged for one job, until it ends, or for any job."""
        return self._subscribe(_of(SubscriptionKind.STORAGE, job_id, _STORAGE), callback, options)

    def subscribe_to_system_events(
        self,
        callback: SystemCallback,
        *,
        severity: Severity | Iterable[Severity] | None = None,
        types: str | Iterable[str] | None = None,
        after: str = "now",
        **options: Unpack[Options],
    ) -> SubscriptionId:
        """What an operator should know about the platform, such as a metric beyond its limits. For backends.

        `after` is a cursor, `now` or the `beginning`.
        """
        subject = SystemTail(after=after, severity=several(severity), types=several(types))
        return self._subscribe(Topic(kind=SubscriptionKind.SYSTEM_EVENTS, subject=subject), callback, options)

    @property
    def active_subscriptions(self) -> list[SubscriptionInfo]:
        """Those that go on, in the order in which they began."""
        return [subscription.info() for subscription, _ in self._going()]

    def info(self, subscription_id: SubscriptionId) -> SubscriptionInfo:
        """How a subscription is, or was when it ended. Raises LookupError for one that ended long ago."""
        running = self._running.get(subscription_id)
        if running is not None:
            return running[0].info()
        for ended in reversed(self._ended):
            if ended.id == subscription_id:
                return ended
        raise LookupError(f"This client has no subscription {subscription_id}.")

    def leave_parent(self) -> object:
        of_parent = self._running, self._to_close
        self._running, self._to_close = {}, {}
        return of_parent

    def _subscribe(self, topic: Topic, callback: Callable[[Any], object], options: Options) -> SubscriptionId:
        backlog = Backlog(options.get("queue_size", QUEUE_SIZE), options.get("overflow", Overflow.CATCH_UP))
        subscription = Subscription(topic, backlog, self._caller(), callback, options.get("on_error"))
        self._launch(subscription)
        return subscription.id

    @abstractmethod
    def _caller(self) -> Caller:
        """What calls the functions of one subscription."""

    @abstractmethod
    def _launch(self, subscription: Subscription) -> None:
        """Have a subscription begin, in the event loop."""

    def _begin(self, subscription: Subscription) -> None:
        loop = asyncio.get_running_loop()
        name = f"reelbase-subscription-{subscription.id}"
        task = loop.create_task(subscription.run(self._streams), name=name)
        self._running[subscription.id] = subscription, task
        for registry in self._and_hosts():
            registry._to_close[task] = subscription  # noqa: SLF001  # of the same class
        task.add_done_callback(partial(self._retire, subscription))

    def _retire(self, subscription: Subscription, task: asyncio.Task[None]) -> None:
        if self._running.pop(subscription.id, None) is not None:
            self._ended.append(subscription.info())
        for registry in self._and_hosts():
            registry._to_close.pop(task, None)  # noqa: SLF001  # of the same class
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("Subscription %s failed.", subscription.id, exc_info=error)

    def _and_hosts(self) -> Iterator[Self]:
        registry: Self | None = self
        while registry is not None:
            yield registry
            registry = registry._host  # noqa: SLF001  # of the same class

    def _going(self) -> list[tuple[Subscription, asyncio.Task[None]]]:
        return [pair for pair in tuple(self._running.values()) if not pair[0].is_stopping]

    def _stop(self, wanted: Collection[SubscriptionId] | None) -> set[asyncio.Task[None]]:
        """Have these end, or all; the tasks of those that did not yet."""
        stopped = {
            subscription: task
            for subscription, task in self._going()
            if wanted is None or subscription.id in wanted
        }
        for subscription in stopped:
            subscription.stop("It was unsubscribed.")
        return set(stopped.values())

    async def _unsubscribe(self, wanted: Collection[SubscriptionId] | None) -> int:
        """End these, or all, and wait for callbacks that run; how many there were."""
        tasks = self._stop(wanted)
        await self._wait_for(tasks)
        return len(tasks)

    async def _close(self) -> None:
        """End all, those of guests too. A callback that takes too long is cancelled."""
        tasks = dict(self._to_close)
        for subscription in tasks.values():
            subscription.stop("The client was closed.")
        late = await self._wait_for(tasks, CLOSING_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    async def _wait_for(
        self, tasks: Iterable[asyncio.Task[None]], seconds: float | None = None
    ) -> set[asyncio.Task[None]]:
        """Wait for the end of subscriptions, for so long; those that are late."""
        # A callback must not wait for its own end, nor two for each other's, nor tasks that they wait for.
        others = set(tasks) - {task_of_callback()}
        if not others or inside_callback():
            return set()
        _, late = await asyncio.wait(others, timeout=seconds)
        return late

    async def _ready(self, subscription_id: SubscriptionId, seconds: float | None) -> None:
        running = self._running.get(subscription_id)
        if running is None:
            self.info(subscription_id)
            return
        async with asyncio.timeout(seconds):
            await running[0].started.wait()


class AsyncSubscriptions(_Subscribing):
    """`AsyncReelbase.subscriptions`: callbacks run in the event loop, so plain functions should be quick."""

    async def unsubscribe(self, subscription_id: SubscriptionId) -> bool:
        """End a subscription: its callback is not called again, and one that runs is waited for, except in a
        callback. False if it had ended."""
        return await self._unsubscribe({subscription_id}) > 0

    async def unsubscribe_all(self) -> int:
        """End all subscriptions of this client, in the same way; how many there were."""
        return await self._unsubscribe(None)

    async def ready(
        self,
        subscription_id: SubscriptionId,
        timeout: float | None = None,  # noqa: ASYNC109  # as in synchronous code
    ) -> None:
        """Return once everything that happens from then on will be delivered, or the subscription has ended.

        Raises TimeoutError when that takes more than `timeout` seconds.
        """
        await self._ready(subscription_id, timeout)

    async def aclose(self) -> None:
        """As the client does at its end."""
        await self._close()

    def _caller(self) -> Caller:
        return Caller()

    def _launch(self, subscription: Subscription) -> None:
        self._begin(subscription)


class Subscriptions(_Subscribing):
    """`Reelbase.subscriptions`: each subscription calls plain functions in a thread of its own, and coroutine
    functions in the client's background loop, which they must not block."""

    def __init__(self, streams: Streams, host: Self | None, loop: BackgroundLoop) -> None:
        super().__init__(streams, host)
        self._loop = loop

    def unsubscribe(self, subscription_id: SubscriptionId) -> bool:
        """End a subscription: its callback is not called again, and one that runs is waited for, except in a
        callback. False if it had ended."""
        return self._end({subscription_id}) > 0

    def unsubscribe_all(self) -> int:
        """End all subscriptions of this client, in the same way; how many there were."""
        return self._end(None)

    def ready(self, subscription_id: SubscriptionId, timeout: float | None = None) -> None:
        """Return once everything that happens from then on will be delivered, or the subscription has ended.

        Raises TimeoutError when that takes more than `timeout` seconds.
        """
        self._loop.run(self._ready(subscription_id, timeout))

    def close(self) -> None:
        """As the client does at its end."""
        if self._to_close and not self._loop.closed:
            with until_closed():
                self._loop.run(self._close())

    def _end(self, wanted: Collection[SubscriptionId] | None) -> int:
        if not self._going():
            return 0
        if self._loop.is_here:
            return len(self._stop(wanted))
        return self._loop.run(self._unsubscribe(wanted))

    def _caller(self) -> Caller:
        return ThreadCaller()

    def _launch(self, subscription: Subscription) -> None:
        if self._loop.is_here:
            self._begin(subscription)
            return

        async def begin() -> None:
            self._begin(subscription)

        self._loop.run(begin())


def _of(kind: SubscriptionKind, job_id: UUID | None, types: Collection[EventType]) -> Topic:
    """Events of these types, of one job or of all."""
    return Topic(kind=kind, subject=Tail(types=types)) if job_id is None else _of_job(kind, job_id, types)


def _of_job(
    kind: SubscriptionKind, job_id: UUID, types: Collection[EventType] | None, after_seq: int = 0
) -> Topic:
    def wants(event: JobEvent) -> bool:
        return types is None or event.type in types

    return Topic(kind=kind, subject=Watch(job_id, after_seq), wants=wants)


def _is_of_an_active_job(event: JobEvent) -> bool:
    return not event.is_terminal or event.type in _ENDING
