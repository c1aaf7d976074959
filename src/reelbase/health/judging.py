"""From measurements to a report. No I/O: values in, verdicts out."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from importlib import metadata

from reelbase.errors import (
    AuthenticationError,
    CallTimeout,
    ConnectionFailed,
    NotFound,
    PermissionDenied,
    RateLimited,
    ReelbaseError,
    UnexpectedAnswer,
)
from reelbase.health.measuring import Measurement, Measurements, Probe
from reelbase.health.rules import RULES, TIMED, Skip
from reelbase.models import (
    DatabaseHealth,
    HealthCheck,
    HealthCheckName,
    HealthFinding,
    HealthReport,
    HealthStatus,
    HealthThresholds,
    UserRole,
)

BACKENDS = {UserRole.SERVICE_ROLE, UserRole.ADMIN, UserRole.SERVICE_ACCOUNT}

_RANKS = {
    HealthStatus.SKIPPED: 0,
    HealthStatus.HEALTHY: 0,
    HealthStatus.DEGRADED: 1,
    HealthStatus.UNHEALTHY: 2,
}
_STATUSES = (HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.UNHEALTHY)


def judge(
    measurements: Measurements,
    thresholds: HealthThresholds,
    optional: Collection[HealthCheckName],
    checked_at: datetime,
) -> HealthReport:
    """The report. The worst check decides, but an optional one makes the whole no worse than degraded."""
    connection = measurements[Probe.CONNECTION]
    judged = [_judge_check(name, measurements, thresholds) for name in RULES]
    checks = tuple(check for check, _ in judged)
    database: DatabaseHealth | None = measurements[Probe.DATABASE].value
    return HealthReport(
        status=overall(checks, optional),
        checked_at=checked_at,
        response_time_ms=None if connection.error else connection.duration_ms,
        version=metadata.version("reelbase"),
        server_version=None if database is None else database.server_version,
        role=connection.value,
        checks=checks,
        findings=tuple(_said_once(finding for _, findings in judged for finding in findings)),
    )


def overall(checks: Iterable[HealthCheck], optional: Collection[HealthCheckName]) -> HealthStatus:
    """The worst of them."""
    return worst(
        HealthStatus.DEGRADED
        if check.name in optional and check.status is HealthStatus.UNHEALTHY
        else check.status
        for check in checks
    )


def worst(statuses: Iterable[HealthStatus]) -> HealthStatus:
    """The worst status of any; healthy when nothing speaks against it."""
    return _STATUSES[max((_RANKS[status] for status in statuses), default=0)]


def _judge_check(
    name: HealthCheckName, measurements: Measurements, thresholds: HealthThresholds
) -> tuple[HealthCheck, list[HealthFinding]]:
    probe, rule = RULES[name]
    measurement = measurements[probe]
    if measurement.error is not None:
        role = measurements[Probe.CONNECTION].value
        return _failed(name, measurement, measurement.error, role)
    outcome = rule(measurement if probe in TIMED else measurement.value, thresholds)
    if isinstance(outcome, Skip):
        return _skipped(name, measurement, outcome.reason), []
    found = [verdict for verdict in outcome.verdicts if verdict.status is not HealthStatus.HEALTHY]
    check = HealthCheck(
        name=name,
        status=worst(verdict.status for verdict in found),
        duration_ms=measurement.duration_ms,
        details=outcome.details,
    )
    return check, [HealthFinding(check=name, **verdict._asdict()) for verdict in found]


def _failed(
    name: HealthCheckName, measurement: Measurement, error: ReelbaseError, role: UserRole | None
) -> tuple[HealthCheck, list[HealthFinding]]:
    if isinstance(error, PermissionDenied) and role is not None and role not in BACKENDS:
        return _skipped(name, measurement, f"For backends only; this client's role is {role}."), []
    check = HealthCheck(
        name=name,
        status=HealthStatus.UNHEALTHY,
        duration_ms=measurement.duration_ms,
        details={},
        error=error.message,
    )
    finding = HealthFinding(
        check=name,
        status=HealthStatus.UNHEALTHY,
        problem=error.message,
        recommendation=error.hint or _remedy(error),
    )
    return check, [finding]


def _skipped(name: HealthCheckName, measurement: Measurement, reason: str) -> HealthCheck:
    return HealthCheck(
        name=name,
        status=HealthStatus.SKIPPED,
        duration_ms=measurement.duration_ms,
        details={},
        reason=reason,
    )


def _remedy(error: ReelbaseError) -> str:
    remedies: dict[type[ReelbaseError], str] = {
        AuthenticationError: "Check the API key, and the expiry of the access token.",
        PermissionDenied: "The function is not granted to this role; `reelbase doctor` tells more.",
        NotFound: "The function is not there: apply the migrations; `reelbase doctor` tells more.",
        RateLimited: "Call less often, or raise the limit.",
        CallTimeout: "Look at the database's load and at locks.",
        ConnectionFailed: "Check SUPABASE_URL and that the server runs.",
        UnexpectedAnswer: "Check that the database has the migrations of this client's version.",
    }
    return next(
        (words for kind, words in remedies.items() if isinstance(error, kind)),
        "Look at the server's log; `reelbase doctor` tells whether the schema is complete.",
    )


def _said_once(findings: Iterable[HealthFinding]) -> Iterator[HealthFinding]:
    """A server that is away fails every check, and is one thing to mend."""
    said = set()
    for finding in findings:
        if finding.problem not in said:
            said.add(finding.problem)
            yield finding
