"""Operations on jobs."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation, stream
from reelbase.models import ElementSpec, Job, JobPage, JobStatus, ProcessingStep, ResponseType, VideoJob
from reelbase.realtime.watch import Watch

Number = int | float | Decimal
Address = str | IPv4Address | IPv6Address


class Jobs(Service[M]):
    """Create, read, change and watch jobs. Durations are seconds, sizes pixels."""

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
    ) -> Call[Job]:
        """Create a job without elements.

        `client_ip` and `user_id` count only when a backend calls; for everyone else the request decides.
        Raises InvalidArgument with every problem at once.
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
            },
            Job,
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
    ) -> Call[VideoJob]:
        """Create a job with its elements and its first step, all or nothing.

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
            },
            VideoJob,
        )

    @operation
    def get(self, job_id: UUID) -> Call[Job]:
        """Fetch one job. Raises NotFound."""
        return Call("get_job", {"job_id": job_id}, Job, reads=("job", job_id))

    @operation
    def list(
        self,
        *,
        status: Iterable[JobStatus] | None = None,
        user_id: UUID | None = None,
        client_ip: Address | None = None,
        oldest_first: bool = False,
        page_size: int = 50,
        cursor: str | None = None,
    ) -> Call[JobPage]:
        """One page of the jobs that the caller may see, newest first.

        `page_size` is 1 to 500. `cursor` is the `next_cursor` of the page before.
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
            },
            JobPage,
            reads=("jobs",),
        )

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
            },
            Job,
        )

    @operation
    def update_progress(
        self, job_id: UUID, progress_percentage: Number, *, current_step: ProcessingStep | None = None
    ) -> Call[Job]:
        """Record how far a job is, 0 to 100; it never goes back. For backends.

        Raises Conflict when the job is not being processed.
        """
        return Call(
            "update_job_progress",
            {"job_id": job_id, "progress_percentage": progress_percentage, "current_step": current_step},
            Job,
        )

    @stream
    def watch(self, job_id: UUID, *, after_seq: int = 0) -> Watch:
        """Follow a job's events live: each once, in order, to the job's end.

        Begins after `after_seq`; 0 is the job's creation. Outages of any length are survived.
        Raises NotFound, and what else reading the log raises for a reason that does not pass.
        """
        return Watch(job_id, after_seq)
