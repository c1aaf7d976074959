"""Operations on the queue, for workers and for who looks after them."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation
from reelbase.models import ClaimedJob, ClaimState, Job, QueueState
from reelbase.services.arguments import Number
from reelbase.services.changes import LISTS, job_and_lists


class Queue(Service[M]):
    """Claim jobs for a worker, hold them by heartbeats, and end or give them back. For backends.

    A claim is held for the length of a lease, 1 second to 1 day, 60 seconds unless told otherwise. What is
    called with the number of a claim that is over raises LeaseLost and changes nothing.
    """

    @operation
    def claim(
        self,
        worker: str,
        *,
        max_jobs: int = 1,
        lease: timedelta | None = None,
        formats: Iterable[str] | None = None,
        min_priority: int | None = None,
    ) -> Call[list[ClaimedJob]]:
        """Take up to `max_jobs` (1 to 100) waiting jobs: the highest priority first, of one the oldest.

        An empty list while the queue is paused or nothing waits. No job is given to two workers. `worker`
        is a name for people to read; `formats` are the output formats that the worker can make.
        """
        return Call(
            "claim_jobs",
            {
                "worker": worker,
                "max_jobs": max_jobs,
                "lease": lease,
                "formats": None if formats is None else tuple(formats),
                "min_priority": min_priority,
            },
            list[ClaimedJob],
            changes=LISTS,
        )

    @operation
    def heartbeat(self, claims: Iterable[int], *, lease: timedelta | None = None) -> Call[list[ClaimState]]:
        """Hold claims for another lease from now; what has become of each, in the order given.

        Stop working on those that are not `held`, and release those with `pause_requested`.
        """
        return Call(
            "heartbeat_jobs", {"claims": tuple(claims), "lease": lease}, list[ClaimState], idempotent=True
        )

    @operation
    def complete(
        self,
        job_id: UUID,
        claim: int,
        *,
        output_url: str | None = None,
        output_size: int | None = None,
        actual_duration: Number | None = None,
        s3_bucket: str | None = None,
        s3_key: str | None = None,
        s3_region: str | None = None,
        output_url_expires_at: datetime | None = None,
    ) -> Call[Job]:
        """End a claimed job well. `output_size` is bytes, `actual_duration` seconds."""
        return Call(
            "complete_job",
            {
                "job_id": job_id,
                "claim": claim,
                "output_url": output_url,
                "output_size": output_size,
                "actual_duration": actual_duration,
                "s3_bucket": s3_bucket,
                "s3_key": s3_key,
                "s3_region": s3_region,
                "output_url_expires_at": output_url_expires_at,
            },
            Job,
            changes=job_and_lists(job_id),
        )

    @operation
    def fail(
        self,
        job_id: UUID,
        claim: int,
        error_code: str,
        error_message: str,
        *,
        error_details: Mapping[str, Any] | None = None,
        retryable: bool = True,
        retry_in: timedelta | None = None,
    ) -> Call[Job]:
        """End an attempt at a claimed job badly: the job waits for another one, or has failed for good.

        It has failed when `retryable` is false or its retries are used up. It waits for `retry_in`, at
        most 30 days; unless told otherwise, longer after each failure.
        """
        return Call(
            "fail_job",
            {
                "job_id": job_id,
                "claim": claim,
                "error_code": error_code,
                "error_message": error_message,
                "error_details": error_details,
                "retryable": retryable,
                "retry_in": retry_in,
            },
            Job,
            changes=job_and_lists(job_id),
        )

    @operation
    def release(self, job_id: UUID, claim: int) -> Call[Job]:
        """Give a claimed job back: it waits again, at once, and no retry is counted."""
        return Call("release_job", {"job_id": job_id, "claim": claim}, Job, changes=job_and_lists(job_id))

    @operation
    def rescue_stalled(self, *, max_jobs: int = 100) -> Call[list[Job]]:
        """Take jobs from workers whose lease has expired; every `claim` does the same first.

        Each waits again, or ends in `timeout` when it has been rescued too often.
        """
        return Call("rescue_stalled_jobs", {"max_jobs": max_jobs}, list[Job], changes=LISTS)

    @operation
    def pause_job(self, job_id: UUID) -> Call[Job]:
        """Keep a job from being claimed; the worker that has it is asked to give it back.

        Raises Conflict when the job has ended.
        """
        return Call("pause_job", {"job_id": job_id}, Job, idempotent=True, changes=job_and_lists(job_id))

    @operation
    def resume_job(self, job_id: UUID) -> Call[Job]:
        """Let a paused job be claimed again. Raises Conflict when the job has ended."""
        return Call("resume_job", {"job_id": job_id}, Job, idempotent=True, changes=job_and_lists(job_id))

    @operation
    def state(self) -> Call[QueueState]:
        """How many jobs wait, run and are stuck."""
        return Call("get_queue_state", {}, QueueState, reads=("queue",))

    @operation
    def pause(self) -> Call[QueueState]:
        """Let nobody claim anything until `resume`; what is being rendered goes on. For admins."""
        return Call("pause_queue", {}, QueueState, idempotent=True, changes=(("queue",),))

    @operation
    def resume(self) -> Call[QueueState]:
        """Let workers claim again. For admins."""
        return Call("resume_queue", {}, QueueState, idempotent=True, changes=(("queue",),))
