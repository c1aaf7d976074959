"""For how long what was read may be believed: the one table of it."""

from dataclasses import dataclass, fields
from typing import Any

from reelbase.models import Job, JobDetails, JobStatus

_LISTS = frozenset({"jobs", "elements", "timeline", "queue", "storage", "access", "metrics", "system_events"})
_RETRYABLE = frozenset({JobStatus.FAILED, JobStatus.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """Seconds, by what was read; 0 keeps it out of the cache.

    `final` is for jobs that have ended for good, `failed` for those that may be tried again, `running` for
    all others. `lists` is for what shows many rows, or rows of a job whose state is not told with them.
    `statistics` is for reports, which are old by nature.

    Everything else is never cached: events, who is calling and what it may do, leases, health.
    """

    final: float = 3600.0
    failed: float = 300.0
    running: float = 5.0
    lists: float = 5.0
    statistics: float = 900.0

    def __post_init__(self) -> None:
        for setting in fields(self):
            if getattr(self, setting.name) < 0:
                raise ValueError(f"{setting.name} is a number of seconds, 0 or more")

    def cover(self, reads: tuple[object, ...]) -> bool:
        """Whether what a call reads may be cached at all."""
        return reads[0] == "job" or self._of_kind(reads[0]) > 0

    def of(self, reads: tuple[object, ...], result: Any) -> float:
        """For how long a result may be cached."""
        return self._of_job(result) if reads[0] == "job" else self._of_kind(reads[0])

    def _of_kind(self, kind: object) -> float:
        if kind == "statistics":
            return self.statistics
        return self.lists if kind in _LISTS else 0.0

    def _of_job(self, result: Any) -> float:
        job = result.job if isinstance(result, JobDetails) else result
        if not isinstance(job, Job) or not job.is_terminal:
            return self.running
        return self.failed if job.status in _RETRYABLE else self.final
