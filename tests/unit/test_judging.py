"""How measurements are judged: values in, a report out."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reelbase import (
    CallTimeout,
    ConfigurationError,
    ConnectionFailed,
    DatabaseHealth,
    HealthCheck,
    HealthCheckName,
    HealthLimits,
    HealthReport,
    HealthStatus,
    HealthThresholds,
    NotFound,
    PermissionDenied,
    ReelbaseError,
    SystemStats,
    UserRole,
)
from reelbase.cli.health import EXIT_CODES
from reelbase.errors import Answer
from reelbase.health.history import metrics
from reelbase.health.judging import judge, overall
from reelbase.health.measuring import Measurement, Probe
from reelbase.health.pool import pool_of
from reelbase.models import JobPage


@dataclass(frozen=True)
class Pool:
    max_size: int
    size: int
    idle: int
    waiting: int


NOW = datetime(2026, 1, 2, tzinfo=UTC)
GIB = 1024**3
STATUSES = st.sampled_from(HealthStatus)


def database(**parts: Any) -> DatabaseHealth:
    """A database without a care."""
    calm: dict[str, Any] = {
        "measured_at": NOW,
        "latency_ms": Decimal("0.1"),
        "server_version": "17.6",
        "problems": (),
        "connections": {"used": 3, "max": 100, "by_state": {}},
        "cache_hit_ratio": Decimal("0.99"),
        "slow_queries": None,
        "long_queries": (),
        "oldest_transaction": {},
        "transaction_ids": None,
        "size": {"database_bytes": 50 * GIB, "tables": []},
        "dead_tuples": (),
        "replication": {"is_replica": False, "replicas": []},
        "slots": (),
        "queue": {"pending": 5, "processing": 1, "stalled": 0},
        "event_log": {"newest_id": 7, "from_the_future": False},
        "consumers": (),
    }
    return DatabaseHealth.model_validate(calm | parts)


def statistics(completed: int, failed: int) -> SystemStats:
    counted: dict[str, Any] = {"completed_24h": completed, "failed_24h": failed}
    return SystemStats.model_construct(**counted)


def measured(**values: Any) -> dict[Probe, Measurement]:
    """All measurements, each in a millisecond; an error among the values is what its probe ended with."""
    calm: dict[str, Any] = {
        "connection": UserRole.SERVICE_ROLE,
        "read": JobPage(items=(), next_cursor=None),
        "write": None,
        "realtime": 3.0,
        "database": database(),
        "statistics": statistics(100, 0),
        "pool": None,
    }
    return {
        Probe(name): Measurement(1.0, error=value)
        if isinstance(value, ReelbaseError)
        else Measurement(1.0, value)
        for name, value in (calm | values).items()
    }


def report(measurements: dict[Probe, Measurement], **thresholds: Any) -> HealthReport:
    limits = HealthThresholds.model_validate(thresholds)
    return judge(measurements, limits, {HealthCheckName.REALTIME}, NOW)


def test_calm_platform__is_healthy_and_has_no_findings() -> None:
    calm = report(measured())

    assert (calm.status, calm.findings) == (HealthStatus.HEALTHY, ())
    assert (calm.response_time_ms, calm.server_version, calm.checked_at) == (1.0, "17.6", NOW)
    assert [check.name for check in calm.checks] == list(HealthCheckName)
    assert calm.check(HealthCheckName.POOL).reason == "This client has no pool of database connections."


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (99.9, HealthStatus.HEALTHY),
        (100, HealthStatus.DEGRADED),
        (500, HealthStatus.DEGRADED),
        (500.1, HealthStatus.UNHEALTHY),
    ],
)
def test_limits__are_those_of_the_documentation(value: float, status: HealthStatus) -> None:
    measurements = measured() | {Probe.CONNECTION: Measurement(value, UserRole.SERVICE_ROLE)}

    assert report(measurements).check(HealthCheckName.CONNECTION).status == status


@pytest.mark.parametrize(
    ("check", "measurements", "thresholds", "status", "words"),
    [
        ("realtime", {"realtime": 2000.0}, {}, "degraded", "took 2000 ms"),
        ("errors", {"statistics": statistics(98, 2)}, {}, "degraded", "2.0 % of the jobs"),
        ("errors", {"statistics": statistics(90, 10)}, {}, "unhealthy", "10.0 % of the jobs"),
        ("disk", {}, {"disk_capacity_bytes": 60 * GIB}, "degraded", "83.3 %"),
        ("disk", {}, {"disk_capacity_bytes": 51 * GIB}, "unhealthy", "98.0 %"),
        (
            "queries",
            {"database": database(connections={"used": 95, "max": 100})},
            {},
            "unhealthy",
            "95 of 100",
        ),
        ("queries", {"database": database(long_queries=[{"seconds": 40}])}, {}, "degraded", "for 40 s"),
        ("queries", {"database": database(oldest_transaction={"seconds": 4000})}, {}, "unhealthy", "4000 s"),
        (
            "queries",
            {"database": database(problems=["transaction_ids_not_frozen"])},
            {},
            "unhealthy",
            "transaction ids",
        ),
        (
            "replication",
            {"database": database(slots=[{"name": "feed", "lag_bytes": 2 * GIB}])},
            {},
            "unhealthy",
            "slot feed is 2048 MiB behind",
        ),
        ("replication", {"database": database(replication={"is_replica": True})}, {}, "unhealthy", "replica"),
        (
            "replication",
            {"database": database(problems=["slot_too_far_behind"])},
            {},
            "unhealthy",
            "lost the log",
        ),
        (
            "event_log",
            {"database": database(consumers=[{"name": "billing", "lag_seconds": 7200}])},
            {},
            "degraded",
            "consumer billing is 7200 s behind",
        ),
        (
            "event_log",
            {"database": database(problems=["event_log_from_another_cluster"])},
            {},
            "unhealthy",
            "restored from another database",
        ),
        ("queue", {"database": database(queue={"stalled": 2})}, {}, "degraded", "2 jobs belong"),
        (
            "pool",
            {"pool": Pool(4, 4, 0, 0)},
            {},
            "degraded",
            "4 of the pool's 4",
        ),
        ("pool", {"pool": Pool(4, 1, 1, 30)}, {}, "unhealthy", "30 transactions wait"),
    ],
)
def test_findings__name_the_trouble_and_recommend_something(
    check: str, measurements: dict[str, Any], thresholds: dict[str, Any], status: str, words: str
) -> None:
    judged = report(measured(**measurements), **thresholds)

    (finding,) = judged.findings
    assert (finding.check, finding.status) == (check, status)
    assert words in finding.problem
    assert finding.recommendation.endswith((".", ";"))
    assert judged.check(HealthCheckName(check)).status == status
    assert judged.status == status


@pytest.mark.parametrize(
    ("check", "part"),
    [("disk", "size"), ("queue", "queue"), ("event_log", "event_log")],
)
def test_parts_that_cannot_be_measured__are_skipped_with_the_reason(check: str, part: str) -> None:
    judged = report(measured(database=database(**{part: None})))

    skipped = judged.check(HealthCheckName(check))
    assert (skipped.status, judged.status) == (HealthStatus.SKIPPED, HealthStatus.HEALTHY)
    assert "cannot be measured" in (skipped.reason or "")


def test_few_jobs__say_nothing_about_errors() -> None:
    assert report(measured(statistics=statistics(0, 1))).status is HealthStatus.HEALTHY


def test_server_that_is_away__is_one_finding() -> None:
    gone = ConnectionFailed("The server cannot be reached.", hint="Start it.")
    judged = report(
        measured(connection=gone, read=gone, write=gone, realtime=gone, database=gone, statistics=gone)
    )

    assert (judged.status, judged.response_time_ms) == (HealthStatus.UNHEALTHY, None)
    assert [(finding.problem, finding.recommendation) for finding in judged.findings] == [
        ("The server cannot be reached.", "Start it.")
    ]


@pytest.mark.parametrize(
    ("role", "status"),
    [(UserRole.ANON, HealthStatus.SKIPPED), (UserRole.SERVICE_ROLE, HealthStatus.UNHEALTHY)],
)
def test_refusal__is_as_it_should_be_but_for_a_backend(role: UserRole, status: HealthStatus) -> None:
    refused = PermissionDenied(Answer("Only a backend may do this."))
    judged = report(measured(connection=role, database=refused))

    assert judged.check(HealthCheckName.QUEUE).status is status
    assert (judged.check(HealthCheckName.QUEUE).reason is None) is (status is HealthStatus.UNHEALTHY)


@pytest.mark.parametrize("error", [NotFound(Answer("No.")), CallTimeout("Late."), ReelbaseError("Odd.")])
def test_every_error__comes_with_a_recommendation(error: ReelbaseError) -> None:
    (finding,) = report(measured(write=error)).findings

    assert finding.recommendation.endswith(".")


def test_realtime_away__leaves_the_whole_degraded() -> None:
    judged = report(measured(realtime=ConnectionFailed("No answer.")))

    assert judged.check(HealthCheckName.REALTIME).status is HealthStatus.UNHEALTHY
    assert judged.status is HealthStatus.DEGRADED


@given(
    st.lists(st.tuples(st.sampled_from(HealthCheckName), STATUSES)), st.sets(st.sampled_from(HealthCheckName))
)
def test_worst_check__decides(
    found: list[tuple[HealthCheckName, HealthStatus]], optional: set[HealthCheckName]
) -> None:
    checks = [HealthCheck(name=name, status=status, duration_ms=1, details={}) for name, status in found]
    status = overall(checks, optional)

    required = {status for name, status in found if name not in optional}
    anything = {status for _, status in found}
    assert (status is HealthStatus.UNHEALTHY) is (HealthStatus.UNHEALTHY in required)
    assert (status is HealthStatus.HEALTHY) is (anything <= {HealthStatus.HEALTHY, HealthStatus.SKIPPED})


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_limits__know_three_ranges(value: float, first: float, second: float) -> None:
    limits = HealthLimits(degraded=min(first, second), unhealthy=max(first, second))

    ranges = {
        HealthStatus.HEALTHY: value < limits.degraded,
        HealthStatus.DEGRADED: limits.degraded <= value <= limits.unhealthy,
        HealthStatus.UNHEALTHY: value > limits.unhealthy,
    }
    # Limits that are one number leave nothing between them but that number.
    assert ranges[limits.judge(value)]


def test_limits__must_be_in_order() -> None:
    with pytest.raises(ValidationError, match="degraded must not be above unhealthy"):
        HealthLimits(degraded=2, unhealthy=1)


def test_history__has_the_whole_and_each_check_that_was_made() -> None:
    values = metrics(report(measured(realtime=ConnectionFailed("No answer."))))

    by_name = {(value.metric, value.labels.get("check")): value.value for value in values}
    assert by_name["health.status", None] == 1
    assert by_name["health.response_ms", None] == 1
    assert by_name["health.check_status", "realtime"] == 2
    assert by_name["health.check_ms", "read"] == 1
    assert ("health.check_status", "pool") not in by_name


class Pooling:
    """A client with a pool, unless it has no address to connect to."""

    def __init__(self, pool: Pool | None) -> None:
        self.pool = pool

    def pool_stats(self) -> Pool:
        if self.pool is None:
            raise ConfigurationError("DATABASE_URL is not set.")
        return self.pool


def test_pool__is_looked_for_where_there_may_be_one() -> None:
    clients = Pooling(Pool(4, 1, 1, 0)), Pooling(None), database()

    assert [pool_of(client)() for client in clients] == [Pool(4, 1, 1, 0), None, None]


def test_exit_codes__are_0_1_2() -> None:
    assert [EXIT_CODES[HealthStatus(name)] for name in ("healthy", "degraded", "unhealthy")] == [0, 1, 2]
