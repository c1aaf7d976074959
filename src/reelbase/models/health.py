"""Health: what was checked, what it says, and the limits it was judged by."""

from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from pydantic import AwareDatetime, Field, PositiveInt, model_validator

from reelbase.models.base import Model
from reelbase.models.security import UserRole


class HealthStatus(StrEnum):
    """How a check or the whole stands. Only a check can be `skipped`; its `reason` says why."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"
    SKIPPED = "skipped"


class HealthCheckName(StrEnum):
    CONNECTION = "connection"
    READ = "read"
    WRITE = "write"
    REALTIME = "realtime"
    POOL = "pool"
    QUERIES = "queries"
    ERRORS = "errors"
    DISK = "disk"
    REPLICATION = "replication"
    EVENT_LOG = "event_log"
    QUEUE = "queue"


class HealthCheck(Model):
    """One check. `duration_ms` is how long its measurement took; several checks may share one."""

    name: HealthCheckName
    status: HealthStatus
    duration_ms: float | None
    details: dict[str, Any]
    error: str | None = None
    reason: str | None = None


class HealthFinding(Model):
    """Something that is not as it should be, and what to do about it."""

    check: HealthCheckName | None
    status: HealthStatus
    problem: str
    recommendation: str


class HealthReport(Model):
    """How the platform is, as this client sees it.

    `response_time_ms` is the trip of a trivial call there and back, None without a connection. `version` is
    this package's. `recorded` tells whether the values were kept in `system_metrics`.
    """

    status: HealthStatus
    checked_at: AwareDatetime
    response_time_ms: float | None
    version: str
    server_version: str | None
    role: UserRole | None
    checks: tuple[HealthCheck, ...]
    findings: tuple[HealthFinding, ...]
    recorded: bool = False

    def check(self, name: HealthCheckName) -> HealthCheck:
        """The check of that name. Raises LookupError for one that was not made."""
        return next(check for check in self.checks if check.name == name)


class HealthLimits(Model):
    """Healthy below `degraded`, degraded from there on, unhealthy above `unhealthy`."""

    degraded: float
    unhealthy: float

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.degraded > self.unhealthy:
            raise ValueError("degraded must not be above unhealthy")
        return self

    def judge(self, value: float | Decimal) -> HealthStatus:
        """Where a value stands."""
        if value > self.unhealthy:
            return HealthStatus.UNHEALTHY
        return HealthStatus.DEGRADED if value >= self.degraded else HealthStatus.HEALTHY


def _limits(degraded: float, unhealthy: float) -> Any:
    return Field(default=HealthLimits(degraded=degraded, unhealthy=unhealthy))


_MIB = 1024 * 1024


class HealthThresholds(Model):
    """From when on a value is degraded, and above which it is unhealthy.

    `response_ms` is of the connection by itself, `operation_ms` of a read and a write beside the rest.
    `error_percent` is of the jobs that ended in the last 24 hours, once there are `fewest_jobs` of them.
    `disk_percent` needs `disk_capacity_bytes`: Postgres does not know how large its disk is.
    """

    response_ms: HealthLimits = _limits(100, 500)
    operation_ms: HealthLimits = _limits(500, 2000)
    realtime_ms: HealthLimits = _limits(1000, 5000)
    error_percent: HealthLimits = _limits(1, 5)
    fewest_jobs: PositiveInt = 20
    disk_percent: HealthLimits = _limits(80, 90)
    disk_capacity_bytes: PositiveInt | None = None
    connections_percent: HealthLimits = _limits(80, 90)
    pool_percent: HealthLimits = _limits(80, 100)
    pool_waiting: HealthLimits = _limits(1, 10)
    query_seconds: HealthLimits = _limits(30, 300)
    transaction_seconds: HealthLimits = _limits(300, 3600)
    replication_lag_bytes: HealthLimits = _limits(64 * _MIB, 1024 * _MIB)
    consumer_lag_seconds: HealthLimits = _limits(3600, 86400)
    stalled_jobs: HealthLimits = _limits(1, 50)
