"""Jobs: one video to be rendered."""

from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Self
from uuid import UUID

from pydantic import AwareDatetime

from reelbase.errors import JobFailed
from reelbase.models.base import JsonObject, Model, OpenEnum, Page
from reelbase.models.element import ElementSpec
from reelbase.models.timeline import ProcessingStep


class JobStatus(OpenEnum):
    """Where a job is. Allowed changes are rows of `job_transitions`; see docs/concepts/states.md."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"


class ResponseType(OpenEnum):
    IMMEDIATE = "immediate"
    ASYNC = "async"


class JobSpec(Model):
    """A job to be created; the arguments of `jobs.create`, and elements if it has some."""

    output_format: str
    width: int
    height: int
    elements: tuple[ElementSpec, ...] | None = None
    estimated_duration: Decimal | None = None
    client_ip: IPv4Address | IPv6Address | None = None
    user_agent: str | None = None
    metadata: JsonObject | None = None
    fps: Decimal | None = None
    response_type: ResponseType | None = None
    request_body: JsonObject | None = None
    user_id: UUID | None = None
    priority: int | None = None
    max_retries: int | None = None
    available_at: AwareDatetime | None = None
    idempotency_key: str | None = None


class Job(Model):
    """One row of `jobs`.

    Durations are seconds of video, sizes pixels and bytes, `progress_percentage` 0 to 100.
    `event_seq` is the `seq` of the newest event that this row includes. `is_terminal` is the
    database's word on whether the status can still change without a retry.

    `retry_count` counts failures that were followed by another attempt, `rescue_count` attempts whose worker
    fell silent, `replays` how often the job's creation was asked for again with its idempotency key.
    """

    id: UUID
    user_id: UUID | None
    client_ip: IPv4Address | IPv6Address | None
    user_agent: str | None
    status: JobStatus
    is_terminal: bool
    output_format: str
    width: int
    height: int
    fps: Decimal
    estimated_duration: Decimal | None
    actual_duration: Decimal | None
    response_type: ResponseType
    request_body: JsonObject
    metadata: JsonObject
    progress_percentage: Decimal
    current_step: ProcessingStep | None
    output_url: str | None
    output_url_expires_at: AwareDatetime | None
    output_size: int | None
    s3_bucket: str | None
    s3_key: str | None
    s3_region: str | None
    error_code: str | None
    error_message: str | None
    error_details: JsonObject
    priority: int
    available_at: AwareDatetime
    paused_at: AwareDatetime | None
    retry_count: int
    max_retries: int
    rescue_count: int
    idempotency_key: str | None
    replays: int
    event_seq: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None
    completed_at: AwareDatetime | None
    finished_at: AwareDatetime | None

    def check(self) -> Self:
        """This job, unless it has ended otherwise than well: then JobFailed is raised."""
        if self.is_terminal and self.status is not JobStatus.COMPLETED:
            reason = f": {self.error_message}" if self.error_message else "."
            raise JobFailed(f"Job {self.id} ended as {self.status}{reason}", self)
        return self


class JobPage(Page[Job]):
    """One page of jobs. `total` counts the jobs of all pages, where it was asked for."""

    total: int | None = None

    def onward(self) -> Mapping[str, Any] | None:
        onward = super().onward()
        # Counted once: the next pages do without.
        return None if onward is None else {**onward, "with_total": False}
