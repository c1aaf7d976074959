"""Operations on jobs."""

from collections.abc import Awaitable, Collection, Coroutine, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from inspect import isawaitable
from typing import Any, Literal, overload
from uuid import UUID

from reelbase.errors import JobUnfinished
from reelbase.execution.call import Call
from reelbase.execution.handle import Handle
from reelbase.execution.operation import Async, M, Service, Sync, listing, operation, stream
from reelbase.models import (
    ElementSpec,
    Job,
    JobDetails,
    JobPage,
    JobSpec,
    JobStatus,
    ProcessingStep,
    ResponseType,
    VideoJob,
)
from reelbase.realtime.watch import Watch
from reelbase.services.arguments import Address, Number, each_with_key, key_or_new
from reelbase.services.changes import LISTS, job_and_lists
from reelbase.services.running import AsyncRunningJob, RunningJob, until, until_async

Sort = Literal["created_at", "finished_at"]


class Jobs(Service[M]):
    """Create, read, change and watch jobs. Durations are seconds, sizes pixels.

    A job that a worker has claimed takes its changes with the number of that `claim` only; all others
    raise LeaseLost. Calling it off takes none.
    """

    @operation
    def create(
        self,
        output_format: str,
        width: int,
        height: int,
        *,
        estimated_duration: Number | None = None,
        client_ip: Address | None = None,
        user_agent: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        fps: Number | None = None,
        response_type: ResponseType | None = None,
        request_body: Mapping[str, Any] | None = None,
        user_id: UUID | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        available_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Call[Job]:
        """Create a job without elements.

        `client_ip`, `user_id`, `priority` (-1000 to 1000, 0 unless told otherwise), `max_retries` (3) and
        `available_at` (before which no worker takes the job) count only when a backend calls.
        Given again with its `idempotency_key`, the request stands for the job that it made first, with
        `replays` counted up; with that key, another request raises Conflict.
        Raises InvalidArgument with every problem at once, QuotaExceeded for a user with too many unfinished
        jobs, RateLimited for anonymous clients.
        """
        return Call(
            "create_job",
            {
                "output_format": output_format,
                "width": width,
                "height": height,
                "estimated_duration": estimated_duration,
                "client_ip": client_ip,
                "user_agent": user_agent,
                "metadata": metadata,
                "fps": fps,
                "response_type": response_type,
                "request_body": request_body,
                "user_id": user_id,
                "priority": priority,
                "max_retries": max_retries,
                "available_at": available_at,
                "idempotency_key": key_or_new(idempotency_key),
            },
            Job,
            idempotent=True,
            changes=LISTS,
        )

    @operation
    def create_many(self, jobs: Iterable[JobSpec]) -> Call[list[Job]]:
        """Create 1 to 500 jobs, each with its elements if it has some, all or none.

        Else like `create`. A problem of one is named `jobs[2].width`. One whose `idempotency_key` was given
        before is the job that it made then.
        """
        return Call(
            "create_jobs",
            {"jobs": each_with_key(jobs)},
            list[Job],
            idempotent=True,
            changes=LISTS,
        )

    @operation
    def create_video(
        self,
        output_format: str,
        width: int,
        height: int,
        *,
        elements: Iterable[ElementSpec],
        estimated_duration: Number | None = None,
        client_ip: Address | None = None,
        user_agent: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        fps: Number | None = None,
        response_type: ResponseType | None = None,
        request_body: Mapping[str, Any] | None = None,
        user_id: UUID | None = None,
        priority: int | None = None,
        max_retries: int | None = None,
        available_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Call[VideoJob]:
        """Create a job with its elements and its first step, all or nothing; else like `create`.

        Raises InvalidArgument; a problem of an element is named `elements[2].width`.
        """
        return Call(
            "create_video_job",
            {
                "output_format": output_format,
                "width": width,
                "height": height,
                "elements": list(elements),
                "estimated_duration": estimated_duration,
                "client_ip": client_ip,
                "user_agent": user_agent,
                "metadata": metadata,
                "fps": fps,
                "response_type": response_type,
                "request_body": request_body,
                "user_id": user_id,
                "priority": priority,
                "max_retries": max_retries,
                "available_at": available_at,
                "idempotency_key": key_or_new(idempotency_key),
            },
            VideoJob,
            idempotent=True,
            changes=LISTS,
        )

    @operation
    def get(self, job_id: UUID) -> Call[Job]:
        """Fetch one job. Raises NotFound."""
        return Call("get_job", {"job_id": job_id}, Job, reads=("job", job_id))

    @operation
    def get_with_details(self, job_id: UUID) -> Call[JobDetails]:
        """Fetch a job with its elements, timeline, storage operations and claims. Raises NotFound."""
        return Call("get_job_with_details", {"job_id": job_id}, JobDetails, reads=("job", job_id))

    @operation
    def update_status(
        self,
        job_id: UUID,
        status: JobStatus,
        *,
        error_code: str | None = None,
        error_message: str | None = None,
        error_details: Mapping[str, Any] | None = None,
        output_url: str | None = None,
        output_size: int | None = None,
        actual_duration: Number | None = None,
        s3_bucket: str | None = None,
        s3_key: str | None = None,
        s3_region: str | None = None,
        output_url_expires_at: datetime | None = None,
        claim: int | None = None,
    ) -> Call[Job]:
        """Change a job's status, with the error of a failure or the result of a success. For backends.

        `output_size` is bytes. Raises InvalidTransition, also for the status the job already has,
        so that of two callers who take the same job one succeeds.
        """
        return Call(
            "update_job_status",
            {
                "job_id": job_id,
                "status": status,
                "error_code": error_code,
                "error_message": error_message,
                "error_details": error_details,
                "output_url": output_url,
                "output_size": output_size,
                "actual_duration": actual_duration,
                "s3_bucket": s3_bucket,
                "s3_key": s3_key,
                "s3_region": s3_region,
                "output_url_expires_at": output_url_expires_at,
                "claim": claim,
            },
            Job,
            changes=job_and_lists(job_id),
        )

    @operation
    def update_progress(
        self,
        job_id: UUID,
        progress_percentage: Number,
        *,
        current_step: ProcessingStep | None = None,
        claim: int | None = None,
    ) -> Call[Job]:
        """Record how far a job is, 0 to 100; it never goes back. For backends.

        Raises Conflict when the job is not being processed.
        """
        return Call(
            "update_job_progress",
            {
                "job_id": job_id,
                "progress_percentage": progress_percentage,
                "current_step": current_step,
                "claim": claim,
            },
            Job,
            changes=job_and_lists(job_id),
        )

    @operation
    def cancel(self, job_id: UUID, *, reason: str | None = None) -> Call[Job]:
        """Call a job off: its owner may, and every backend. One that is called off already stays so.

        Raises InvalidTransition when the job has ended otherwise.
        """
        return Call(
            "cancel_job",
            {"job_id": job_id, "reason": reason},
            Job,
            idempotent=True,
            changes=job_and_lists(job_id),
        )

    @operation
    def retry(self, job_id: UUID, *, priority: int | None = None) -> Call[Job]:
        """Try a job again that failed or took too long, from the beginning. For backends.

        Raises Conflict (`job_not_finished`) before its end, InvalidTransition after any other end, and, as
        it is one more unfinished job of its user, QuotaExceeded.
        """
        return Call("retry_job", {"job_id": job_id, "priority": priority}, Job, changes=job_and_lists(job_id))

    @operation
    def delete(self, job_id: UUID, *, force: bool = False) -> Call[Job]:
        """Delete a job that has ended, with all that belongs to it; what it was. For backends.

        With `force`, for admins, whether it has ended or not; else that raises Conflict.
        """
        return Call("delete_job", {"job_id": job_id, "force": force}, Job, changes=job_and_lists(job_id))

    @operation
    def calculate_progress(self, job_id: UUID) -> Call[Decimal]:
        """How far a job is in percent, from the progress of its steps weighted by their usual length."""
        return Call("calculate_job_progress", {"job_id": job_id}, Decimal, reads=("job", job_id))

    @stream
    def watch(self, job_id: UUID, *, after_seq: int = 0) -> Watch:
        """Follow a job's events live: each once, in order, to the job's end.

        Begins after `after_seq`; 0 is the job's creation. Outages of any length are survived.
        Raises NotFound, and what else reading the log raises for a reason that does not pass.
        """
        return Watch(job_id, after_seq)

    @overload
    def run(self: "Jobs[Sync]", spec: JobSpec, *, wait: float | None = ...) -> Job | RunningJob: ...
    @overload
    def run(
        self: "Jobs[Async]", spec: JobSpec, *, wait: float | None = ...
    ) -> Coroutine[Any, Any, Job | AsyncRunningJob]: ...
    def run(self, spec: JobSpec, *, wait: float | None = 30.0) -> Any:
        """Create a job and follow it to its end: the job as it ended, well or not (`job.check()` raises).

        When that takes longer than `wait` seconds, what comes back is a handle to go on with; with None it
        never does. The job's `response_type` is `immediate` unless the spec says otherwise.
        """
        creating = _no_handle(self._creating(spec.model_copy(update=_immediate(spec))))
        return _run_async(self, creating, wait) if isawaitable(creating) else _run(self, creating, wait)

    @overload
    def wait_for(
        self: "Jobs[Sync]", job_id: UUID, *, status: Collection[JobStatus] = ..., timeout: float | None = ...
    ) -> Job: ...
    @overload
    def wait_for(
        self: "Jobs[Async]", job_id: UUID, *, status: Collection[JobStatus] = ..., timeout: float | None = ...
    ) -> Coroutine[Any, Any, Job]: ...
    def wait_for(
        self, job_id: UUID, *, status: Collection[JobStatus] = (), timeout: float | None = None
    ) -> Any:
        """The job once it has been in one of the statuses, or has ended whatever way; as it is by then.

        Raises JobUnfinished after `timeout` seconds, NotFound.
        """
        jobs: Any = self
        reading = _no_handle(jobs.get(job_id))
        if isawaitable(reading):
            return _wait_async(jobs, reading, status, timeout)
        return until(jobs, reading, status, timeout)

    def _creating(self, spec: JobSpec) -> Any:
        jobs: Any = self
        given = {name: getattr(spec, name) for name in JobSpec.model_fields if name != "elements"}
        if spec.elements is None:
            return jobs.create(**given)
        return jobs.create_video(elements=spec.elements, **given)

    @listing
    def list(
        self,
        *,
        status: Iterable[JobStatus] | None = None,
        user_id: UUID | None = None,
        client_ip: Address | None = None,
        oldest_first: bool = False,
        page_size: int = 50,
        cursor: str | None = None,
        output_format: str | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        error_text: str | None = None,
        sort: Sort = "created_at",
        with_total: bool = False,
    ) -> Call[JobPage]:
        """One page of the jobs that the caller may see, newest first.

        Every filter that is given must hold: one of the statuses, created in [`from_time`, `to_time`),
        metadata that contains the given object, all words of `error_text` in the error. Sorted by
        `finished_at`, only jobs that have ended. `page_size` is 1 to 500. `cursor` is the `next_cursor`
        of the page before.
        """
        return Call(
            "list_jobs",
            {
                "status": None if status is None else tuple(status),
                "user_id": user_id,
                "client_ip": client_ip,
                "oldest_first": oldest_first,
                "page_size": page_size,
                "cursor": cursor,
                "output_format": output_format,
                "from_time": from_time,
                "to_time": to_time,
                "metadata": metadata,
                "error_text": error_text,
                "sort": sort,
                "with_total": with_total,
            },
            JobPage,
            reads=("jobs",),
        )


def _immediate(spec: JobSpec) -> dict[str, ResponseType]:
    return {"response_type": spec.response_type or ResponseType.IMMEDIATE}


def _no_handle(carried: Any) -> Any:
    if isinstance(carried, Handle):
        raise TypeError("A batch cannot wait: wait through the client, after the batch has run.")
    return carried


def _job(made: Job | VideoJob) -> Job:
    return made.job if isinstance(made, VideoJob) else made


def _run(jobs: Any, made: Job | VideoJob, wait: float | None) -> Job | RunningJob:
    try:
        return until(jobs, _job(made), (), wait)
    except JobUnfinished as unfinished:
        return RunningJob(jobs, unfinished.job)


async def _run_async(
    jobs: Any, creating: Awaitable[Job | VideoJob], wait: float | None
) -> Job | AsyncRunningJob:
    try:
        return await until_async(jobs, _job(await creating), (), wait)
    except JobUnfinished as unfinished:
        return AsyncRunningJob(jobs, unfinished.job)


async def _wait_async(
    jobs: Any, reading: Awaitable[Job], status: Collection[JobStatus], seconds: float | None
) -> Job:
    return await until_async(jobs, await reading, status, seconds)
