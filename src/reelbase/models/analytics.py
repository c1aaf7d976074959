"""Analytics: what happened to jobs over time, and how the platform stands.

Rates are percent, durations seconds unless their names say milliseconds. A mean or percentile of nothing is
None; percentiles of processing are right to within a tenth.
"""

from datetime import date
from decimal import Decimal

from pydantic import AwareDatetime

from reelbase.models.base import Model
from reelbase.models.timeline import ProcessingStep


class JobCounts(Model):
    """What happened to jobs: one that failed, was retried and completed counts for all three."""

    created: int
    started: int
    completed: int
    failed: int
    cancelled: int
    timeout: int


class JobHour(JobCounts):
    """What happened in one hour."""

    hour: AwareDatetime


class JobTotals(JobCounts):
    """What happened in a stretch of time, and how long it took.

    `success_rate` is of the jobs that completed, failed or timed out. `lost_seconds` is processing of
    attempts that made no video.
    """

    retried: int
    released: int
    success_rate: Decimal | None
    mean_processing_seconds: Decimal | None
    p50_processing_seconds: Decimal | None
    p95_processing_seconds: Decimal | None
    mean_waiting_seconds: Decimal | None
    lost_seconds: Decimal
    output_bytes: int
    output_seconds: Decimal


class JobDay(JobTotals):
    """What happened on one day of UTC."""

    day: date


class JobStatistics(JobTotals):
    """What happened in a range of whole hours, and by day where something happened."""

    from_time: AwareDatetime
    to_time: AwareDatetime
    p99_processing_seconds: Decimal | None
    days: tuple[JobDay, ...]


class StepPerformance(Model):
    """How one step went. `mean_cpu_usage` is percent of one core, `peak_memory_usage` bytes."""

    step: ProcessingStep
    completed: int
    failures: int
    failure_rate: Decimal | None
    mean_duration_ms: Decimal | None
    p50_duration_ms: Decimal | None
    p95_duration_ms: Decimal | None
    mean_cpu_usage: Decimal | None
    peak_memory_usage: int | None


class SystemStats(Model):
    """How the platform stands. What ends in `24h`, and what has no other time, is of the present hour and
    the 23 before it.

    Of the `pending` jobs, `waiting` could be claimed now, `scheduled` later, `paused` not. `workers` were
    heard of in the last five minutes. `uncounted_events` is how far `refresh` is behind.
    """

    measured_at: AwareDatetime
    queue_paused: bool
    pending: int
    waiting: int
    scheduled: int
    paused: int
    processing: int
    slow: int
    stalled: int
    oldest_waiting_seconds: Decimal | None
    workers: int
    created_24h: int
    completed_24h: int
    failed_24h: int
    jobs_per_hour: Decimal
    success_rate: Decimal | None
    mean_processing_seconds: Decimal | None
    p95_processing_seconds: Decimal | None
    events_per_second: Decimal
    uncounted_events: int
    uploaded_bytes_24h: int
    deleted_bytes_24h: int
    produced_bytes: int
    database_bytes: int
    hours: tuple[JobHour, ...]


class StatisticsRefresh(Model):
    """How many events were counted, and whether there are `more`."""

    events: int
    more: bool
