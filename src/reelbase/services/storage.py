"""Operations on the log of storage operations."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, listing, operation
from reelbase.models import (
    StorageBucketUsage,
    StorageOperation,
    StorageOperationPage,
    StorageOperationSpec,
    StorageOperationType,
    StoragePerformance,
    StorageStatistics,
)
from reelbase.services.arguments import each_with_key, key_or_new
from reelbase.services.changes import LISTS


class Storage(Service[M]):
    """Log what is done with stored objects, and report on it. For backends.

    Times are half open ranges, `from_time` included, `to_time` not.
    """

    @operation
    def log(
        self,
        operation: StorageOperationType,
        bucket: str,
        key: str,
        *,
        job_id: UUID | None = None,
        region: str | None = None,
        success: bool = True,
        file_size: int | None = None,
        duration_ms: int | None = None,
        error_code: str | None = None,
        error_message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Call[StorageOperation]:
        """Log one operation; given again with its `idempotency_key`, it is the one already there."""
        return Call(
            "log_storage_operation",
            {
                "operation": operation,
                "bucket": bucket,
                "key": key,
                "job_id": job_id,
                "region": region,
                "success": success,
                "file_size": file_size,
                "duration_ms": duration_ms,
                "error_code": error_code,
                "error_message": error_message,
                "metadata": metadata,
                "idempotency_key": key_or_new(idempotency_key),
            },
            StorageOperation,
            idempotent=True,
            changes=(("storage",), *LISTS),
        )

    @operation
    def log_many(self, operations: Iterable[StorageOperationSpec]) -> Call[list[StorageOperation]]:
        """Log 1 to 1000 operations, all or none; the rows in their order."""
        return Call(
            "log_storage_operations",
            {"operations": each_with_key(operations)},
            list[StorageOperation],
            idempotent=True,
            changes=(("storage",), *LISTS),
        )

    @listing
    def list_failed(
        self,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        operation: StorageOperationType | None = None,
        bucket: str | None = None,
        page_size: int = 50,
        cursor: str | None = None,
    ) -> Call[StorageOperationPage]:
        """One page of the operations that failed, newest first."""
        return Call(
            "get_failed_storage_operations",
            {
                "from_time": from_time,
                "to_time": to_time,
                "operation": operation,
                "bucket": bucket,
                "page_size": page_size,
                "cursor": cursor,
            },
            StorageOperationPage,
            reads=("storage",),
        )

    @operation
    def statistics(
        self,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        bucket: str | None = None,
        operation: StorageOperationType | None = None,
    ) -> Call[list[StorageStatistics]]:
        """Totals of each kind of operation, of the last 30 days unless told otherwise."""
        return Call(
            "get_storage_statistics",
            {"from_time": from_time, "to_time": to_time, "bucket": bucket, "operation": operation},
            list[StorageStatistics],
            reads=(
                "statistics",
                "storage",
            ),
        )

    @operation
    def usage_by_bucket(
        self,
        *,
        bucket: str | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
    ) -> Call[list[StorageBucketUsage]]:
        """What each bucket got and gave by the log, and still holds, the fullest first.

        With times: of what it holds that which was last uploaded then.
        """
        return Call(
            "get_storage_usage_by_bucket",
            {"bucket": bucket, "from_time": from_time, "to_time": to_time},
            list[StorageBucketUsage],
            reads=(
                "statistics",
                "storage",
            ),
        )

    @operation
    def performance(
        self,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        operation: StorageOperationType | None = None,
        bucket: str | None = None,
    ) -> Call[list[StoragePerformance]]:
        """Percentiles of duration and throughput by kind and bucket, of the last 30 days unless told
        otherwise."""
        return Call(
            "get_storage_performance",
            {"from_time": from_time, "to_time": to_time, "operation": operation, "bucket": bucket},
            list[StoragePerformance],
            reads=(
                "statistics",
                "storage",
            ),
        )

    @listing
    def list(
        self,
        *,
        job_id: UUID | None = None,
        operation: StorageOperationType | None = None,
        bucket: str | None = None,
        success: bool | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        page_size: int = 50,
        cursor: str | None = None,
    ) -> Call[StorageOperationPage]:
        """One page of operations, newest first. Who sees a job may read its operations; `job_id` is then
        required."""
        return Call(
            "get_storage_operations",
            {
                "job_id": job_id,
                "operation": operation,
                "bucket": bucket,
                "success": success,
                "from_time": from_time,
                "to_time": to_time,
                "page_size": page_size,
                "cursor": cursor,
            },
            StorageOperationPage,
            reads=("storage",),
        )
