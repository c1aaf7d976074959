"""Jobs to their end: waiting for it, and going on with what takes longer."""

import asyncio
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from reelbase.errors import JobUnfinished, ReelbaseError
from reelbase.execution.call import Call
from reelbase.models import Job, JobEvent, JobStatus
from reelbase.realtime.stream import AsyncEventStream, EventStream

if TYPE_CHECKING:
    from reelbase.execution.operation import Async, Sync
    from reelbase.services.jobs import Jobs

# So much longer than they were told may waits take, to say how the job is by then.
_LAST_LOOK_SECONDS = 1.0


class RunningJob:
    """A job that took longer than its caller would wait. `job` is what was known of it last."""

    def __init__(self, jobs: "Jobs[Sync]", job: Job) -> None:
        self._jobs = jobs
        self.job = job

    @property
    def id(self) -> UUID:
        return self.job.id

    def wait(self, timeout: float | None = None) -> Job:
        """The job when it has ended, well or not. Raises JobUnfinished after `timeout` seconds."""
        self.job = until(self._jobs, self.job, (), timeout)
        return self.job

    def watch(self) -> EventStream:
        """The events after those that `job` includes."""
        return self._jobs.watch(self.id, after_seq=self.job.event_seq)

    def cancel(self, *, reason: str | None = None) -> Job:
        """Call the job off. Raises InvalidTransition when it has ended otherwise."""
        self.job = self._jobs.cancel(self.id, reason=reason)
        return self.job

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.job.status}>"


class AsyncRunningJob:
    """The same for asyncio."""

    def __init__(self, jobs: "Jobs[Async]", job: Job) -> None:
        self._jobs = jobs
        self.job = job

    @property
    def id(self) -> UUID:
        return self.job.id

    async def wait(self, timeout: float | None = None) -> Job:  # noqa: ASYNC109  # as in synchronous code
        """The job when it has ended, well or not. Raises JobUnfinished after `timeout` seconds."""
        self.job = await until_async(self._jobs, self.job, (), timeout)
        return self.job

    def watch(self) -> AsyncEventStream:
        """The events after those that `job` includes."""
        return self._jobs.watch(self.id, after_seq=self.job.event_seq)

    async def cancel(self, *, reason: str | None = None) -> Job:
        """Call the job off. Raises InvalidTransition when it has ended otherwise."""
        self.job = await self._jobs.cancel(self.id, reason=reason)
        return self.job

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.job.status}>"


def until(jobs: "Jobs[Sync]", job: Job, status: Collection[JobStatus], timeout: float | None) -> Job:
    """The job as it is once it has been in one of the statuses, or has ended. Raises JobUnfinished."""
    deadline = None if timeout is None else time.monotonic() + timeout
    if _arrived(job, status):
        return job
    with jobs.watch(job.id, after_seq=job.event_seq) as events:
        arrived = False
        while not arrived and (deadline is None or time.monotonic() < deadline):
            try:
                event = next(events) if deadline is None else events.next_within(deadline - time.monotonic())
            except StopIteration:
                break
            if event is not None:
                job, arrived = event.job, _arrived(event, status)
    with _known_at_least():
        job = jobs._carry(_last_look(jobs, job))  # noqa: SLF001  # friends
    return _checked(job, status, timeout, arrived=arrived)


async def until_async(
    jobs: "Jobs[Async]",
    job: Job,
    status: Collection[JobStatus],
    timeout: float | None,  # noqa: ASYNC109  # as in synchronous code
) -> Job:
    """The same for asyncio."""
    if _arrived(job, status):
        return job
    arrived = False
    async with jobs.watch(job.id, after_seq=job.event_seq) as events:
        try:
            async with asyncio.timeout(timeout):
                while not arrived:
                    event = await anext(events)
                    job, arrived = event.job, _arrived(event, status)
        except (TimeoutError, StopAsyncIteration):
            pass
    with _known_at_least():
        job = await jobs._carry(_last_look(jobs, job))  # noqa: SLF001  # friends
    return _checked(job, status, timeout, arrived=arrived)


def _last_look(jobs: "Jobs[Any]", job: Job) -> Call[Job]:
    return replace(type(jobs).get.build(jobs, job.id), timeout=_LAST_LOOK_SECONDS)


@contextmanager
def _known_at_least() -> Iterator[None]:
    """What the last event told will do where the job cannot be read in time."""
    try:
        yield
    except ReelbaseError as error:
        if not error.transient:
            raise


def _arrived(state: Job | JobEvent, status: Collection[JobStatus]) -> bool:
    return state.is_terminal or state.status in status


def _checked(job: Job, status: Collection[JobStatus], timeout: float | None, *, arrived: bool) -> Job:
    if arrived or _arrived(job, status):
        return job
    # Without a timeout, the client was closed meanwhile.
    after = "" if timeout is None else f" after {timeout:g} seconds"
    raise JobUnfinished(f"Job {job.id} is still {job.status}{after}.", job, hint="Wait on, or cancel it.")
