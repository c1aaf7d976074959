"""Values the database returns: frozen, typed, tolerant of columns and enum values a newer database adds."""

from reelbase.models.access import (
    UrlAccess,
    UrlAccessGroup,
    UrlAccessPage,
    UrlAccessSpec,
    UrlAccessStatistics,
)
from reelbase.models.analytics import (
    JobCounts,
    JobDay,
    JobHour,
    JobStatistics,
    JobTotals,
    StatisticsRefresh,
    StepPerformance,
    SystemStats,
)
from reelbase.models.base import Model, Page
from reelbase.models.element import Element, ElementPage, ElementSpec, ElementState, ElementType, FitMode
from reelbase.models.event import EventConsumer, EventPage, EventType, JobEvent
from reelbase.models.job import Job, JobPage, JobSpec, JobStatus, ResponseType
from reelbase.models.maintenance import DatabaseHealth, RetentionResult, SchemaProblem
from reelbase.models.metrics import (
    Metric,
    MetricBucket,
    MetricSpec,
    MetricThreshold,
    SystemEvent,
    SystemEventPage,
    ThresholdState,
)
from reelbase.models.queue import ClaimedJob, ClaimOutcome, ClaimState, ClaimStatus, JobClaim, QueueState
from reelbase.models.security import RateLimit, SecurityEvent, SecurityEventPage, Severity, UserRole
from reelbase.models.storage import (
    StorageBucketUsage,
    StorageOperation,
    StorageOperationPage,
    StorageOperationSpec,
    StorageOperationType,
    StoragePerformance,
    StorageStatistics,
)
from reelbase.models.timeline import ProcessingStep, TimelineStep
from reelbase.models.video import JobDetails, VideoJob

__all__ = [
    "ClaimOutcome",
    "ClaimState",
    "ClaimStatus",
    "ClaimedJob",
    "DatabaseHealth",
    "Element",
    "ElementPage",
    "ElementSpec",
    "ElementState",
    "ElementType",
    "EventConsumer",
    "EventPage",
    "EventType",
    "FitMode",
    "Job",
    "JobClaim",
    "JobCounts",
    "JobDay",
    "JobDetails",
    "JobEvent",
    "JobHour",
    "JobPage",
    "JobSpec",
    "JobStatistics",
    "JobStatus",
    "JobTotals",
    "Metric",
    "MetricBucket",
    "MetricSpec",
    "MetricThreshold",
    "Model",
    "Page",
    "ProcessingStep",
    "QueueState",
    "RateLimit",
    "ResponseType",
    "RetentionResult",
    "SchemaProblem",
    "SecurityEvent",
    "SecurityEventPage",
    "Severity",
    "StatisticsRefresh",
    "StepPerformance",
    "StorageBucketUsage",
    "StorageOperation",
    "StorageOperationPage",
    "StorageOperationSpec",
    "StorageOperationType",
    "StoragePerformance",
    "StorageStatistics",
    "SystemEvent",
    "SystemEventPage",
    "SystemStats",
    "ThresholdState",
    "TimelineStep",
    "UrlAccess",
    "UrlAccessGroup",
    "UrlAccessPage",
    "UrlAccessSpec",
    "UrlAccessStatistics",
    "UserRole",
    "VideoJob",
]
