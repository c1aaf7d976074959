"""The processing timeline: what a worker did for a job, step by step."""

from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime

from reelbase.models.base import JsonObject, Model, OpenEnum


class ProcessingStep(OpenEnum):
    VALIDATION = "validation"
    DOWNLOAD = "download"
    PROCESSING = "processing"
    COMPOSITION = "composition"
    ENCODING = "encoding"
    UPLOAD = "upload"
    CLEANUP = "cleanup"


class TimelineStep(Model):
    """One row of `processing_timeline`.

    `success` is None while the step is open. `duration_ms` is milliseconds of wall time, `cpu_usage`
    percent of one core averaged over the step (so 200 is two busy cores), `memory_usage` the peak in bytes.
    """

    id: UUID
    job_id: UUID
    step: ProcessingStep
    step_order: int
    progress_percentage: Decimal
    success: bool | None
    details: JsonObject
    error_message: str | None
    error_details: JsonObject
    cpu_usage: Decimal | None
    memory_usage: int | None
    started_at: AwareDatetime
    completed_at: AwareDatetime | None
    duration_ms: int | None
