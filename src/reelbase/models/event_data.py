"""What events say beside the columns that all have: their `data`, one model a kind of event.

The database leaves out what is null; those fields are None.
"""

from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field

from reelbase.models.base import Model
from reelbase.models.element import ElementState, ElementType
from reelbase.models.job import JobStatus
from reelbase.models.queue import ClaimOutcome
from reelbase.models.storage import StorageOperationType
from reelbase.models.timeline import ProcessingStep


class NoData(Model):
    """Nothing: the event's own columns say all."""


class JobCreatedData(Model):
    """The size is pixels."""

    output_format: str
    width: int
    height: int


class JobStatusData(Model):
    """The state before, and what came with the new one.

    `available_at`, `retry_count`, `rescue_count` and `attempt` are told of a job that waits again after an
    attempt: when the next one is due, how many there were, how the last one ended. The error is then its.
    """

    # `from` is a word of Python's own. Dumps have the database's spelling.
    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    from_status: JobStatus = Field(alias="from")
    error_code: str | None = None
    error_message: str | None = None
    output_url: str | None = None
    output_size: int | None = None
    actual_duration: Decimal | None = None
    available_at: AwareDatetime | None = None
    retry_count: int | None = None
    rescue_count: int | None = None
    attempt: ClaimOutcome | None = None


class StepData(Model):
    """The step, with the units of TimelineStep. `success` is None while it is open."""

    timeline_id: UUID
    step: ProcessingStep
    step_order: int
    progress_percentage: Decimal
    success: bool | None = None
    duration_ms: int | None = None
    error_message: str | None = None
    cpu_usage: Decimal | None = None
    memory_usage: int | None = None


class ElementData(Model):
    """The element just after the event; of a removed one, just before."""

    element_id: UUID
    type: ElementType
    element_order: int
    track: int
    processing_state: ElementState
    error_message: str | None = None


class StorageOperationData(Model):
    """The operation; sizes are bytes, durations milliseconds."""

    storage_operation_id: UUID
    operation: StorageOperationType
    bucket: str
    key: str
    success: bool
    file_size: int | None = None
    duration_ms: int | None = None
    error_message: str | None = None


class UrlAccessData(Model):
    """The access, without whoever it was."""

    url_access_id: UUID
    status_code: int
    country: str | None = None
    bytes_sent: int | None = None
