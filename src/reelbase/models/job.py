"""Jobs: one video to be rendered."""

from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from pydantic import AwareDatetime

from reelbase.models.base import JsonObject, Model, OpenEnum
from reelbase.models.element import Element
from reelbase.models.timeline import ProcessingStep, TimelineStep


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


class Job(Model):
    """One row of `jobs`.

    Durations are seconds of video, sizes pixels and bytes, `progress_percentage` 0 to 100.
    `event_seq` is the `seq` of the newest event that this row includes. `is_terminal` is the
    database's word on whether the status can still change without a retry.
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
    output_size: int | None
    error_code: str | None
    error_message: str | None
    error_details: JsonObject
    event_seq: int
    created_at: AwareDatetime
    updated_at: AwareDatetime
    started_at: AwareDatetime | None
    completed_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class JobPage(Model):
    """One page of a job list. `next_cursor` goes into the next call's `cursor`; None on the last page."""

    items: tuple[Job, ...]
    next_cursor: str | None


class VideoJob(Model):
    """What `create_video_job` made: the job, its elements in order and its first open step."""

    job: Job
    elements: tuple[Element, ...]
    step: TimelineStep
