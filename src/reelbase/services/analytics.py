"""Operations on what happened over time."""

from datetime import datetime

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation
from reelbase.models import JobStatistics, StatisticsRefresh, StepPerformance, SystemStats


class Analytics(Service[M]):
    """Statistics of jobs and of the platform. For backends.

    Times are half open ranges, of the last 30 days unless told otherwise.
    """

    @operation
    def job_statistics(
        self, *, from_time: datetime | None = None, to_time: datetime | None = None
    ) -> Call[JobStatistics]:
        """What happened to jobs, in whole hours: the answer names the range it is of."""
        return Call(
            "get_job_statistics",
            {"from_time": from_time, "to_time": to_time},
            JobStatistics,
            reads=("statistics", "jobs"),
        )

    @operation
    def processing_metrics(
        self, *, from_time: datetime | None = None, to_time: datetime | None = None
    ) -> Call[list[StepPerformance]]:
        """How the steps that ended in the range went, by kind; percentiles are right to within a tenth."""
        return Call(
            "get_processing_metrics",
            {"from_time": from_time, "to_time": to_time},
            list[StepPerformance],
            reads=("statistics", "steps"),
        )

    @operation
    def system_stats(self) -> Call[SystemStats]:
        """How the platform stands now: queue, workers, the last 24 hours, storage."""
        return Call("get_system_stats", {}, SystemStats, reads=("queue", "stats"))

    @operation
    def refresh(self, *, max_events: int = 50_000) -> Call[StatisticsRefresh]:
        """Count events that are not counted yet, which makes reports quicker, not righter."""
        return Call(
            "refresh_job_statistics",
            {"max_events": max_events},
            StatisticsRefresh,
            idempotent=True,
            changes=(("statistics", "jobs"), ("queue", "stats")),
        )
