"""Storage operations: what was done with stored objects. Sizes are bytes, durations milliseconds."""

from decimal import Decimal
from uuid import UUID

from pydantic import AwareDatetime

from reelbase.models.base import JsonObject, Model, OpenEnum, Page


class StorageOperationType(OpenEnum):
    UPLOAD = "upload"
    DOWNLOAD = "download"
    DELETE = "delete"
    ACCESS = "access"


class StorageOperationSpec(Model):
    """An operation to be logged. `job_id` is None for housekeeping, `success` true unless told otherwise."""

    operation: StorageOperationType
    bucket: str
    key: str
    job_id: UUID | None = None
    region: str | None = None
    success: bool | None = None
    file_size: int | None = None
    duration_ms: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    metadata: JsonObject | None = None
    idempotency_key: str | None = None


class StorageOperation(Model):
    """One row of `storage_operations`."""

    id: UUID
    job_id: UUID | None
    operation: StorageOperationType
    bucket: str
    key: str
    region: str | None
    success: bool
    file_size: int | None
    duration_ms: int | None
    error_code: str | None
    error_message: str | None
    metadata: JsonObject
    idempotency_key: str | None
    created_at: AwareDatetime


class StorageOperationPage(Page[StorageOperation]):
    """One page of storage operations."""


class StorageStatistics(Model):
    """Totals of one kind of operation; bytes and durations are of those that succeeded."""

    operation: StorageOperationType
    operation_count: int
    failure_count: int
    success_percentage: Decimal
    total_bytes: Decimal
    mean_duration_ms: Decimal | None
    p50_duration_ms: Decimal | None
    p95_duration_ms: Decimal | None
    p99_duration_ms: Decimal | None


class StorageBucketUsage(Model):
    """What was moved into and out of a bucket by operations that succeeded, and what it holds."""

    bucket: str
    uploaded_objects: int
    uploaded_bytes: Decimal
    downloaded_objects: int
    downloaded_bytes: Decimal
    deleted_objects: int
    deleted_bytes: Decimal
    stored_objects: int
    stored_bytes: Decimal
    last_operation_at: AwareDatetime | None


class StoragePerformance(Model):
    """How fast one kind of operation was in one bucket, of those that succeeded and were timed."""

    operation: StorageOperationType
    bucket: str
    operation_count: int
    p50_duration_ms: Decimal | None
    p95_duration_ms: Decimal | None
    p99_duration_ms: Decimal | None
    p50_bytes_per_second: Decimal | None
    p95_bytes_per_second: Decimal | None
    p99_bytes_per_second: Decimal | None
