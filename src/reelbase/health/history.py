"""A report as metrics, so that it can be seen as a series later on."""

from decimal import Decimal
from typing import Any

from reelbase.errors import ReelbaseError
from reelbase.execution.call import Call
from reelbase.health.judging import worst
from reelbase.health.probes import Carry
from reelbase.models import HealthFinding, HealthReport, HealthStatus, Metric, MetricSpec

_LEVELS = {HealthStatus.HEALTHY: 0, HealthStatus.DEGRADED: 1, HealthStatus.UNHEALTHY: 2}


async def record(report: HealthReport, carry: Carry) -> HealthReport:
    """The report, with its values kept in `system_metrics`; or with a finding that says why they are not."""
    call = Call("record_metrics", {"metrics": metrics(report)}, list[Metric])
    try:
        await carry(call)
    except ReelbaseError as error:
        finding = HealthFinding(
            check=None,
            status=HealthStatus.DEGRADED,
            problem=f"The values could not be recorded: {error.message}",
            recommendation=error.hint or "Check with a backend's key; only backends record metrics.",
        )
        findings = (*report.findings, finding)
        return report.model_copy(
            update={"findings": findings, "status": worst((report.status, finding.status))}
        )
    return report.model_copy(update={"recorded": True})


def metrics(report: HealthReport) -> tuple[MetricSpec, ...]:
    """`health.status` of the whole and of each check (0 healthy, 1 degraded, 2 unhealthy), and durations."""
    values: list[dict[str, Any]] = [{"metric": "health.status", "value": _LEVELS[report.status]}]
    if report.response_time_ms is not None:
        values.append({"metric": "health.response_ms", "value": report.response_time_ms, "unit": "ms"})
    for check in report.checks:
        if check.status is HealthStatus.SKIPPED:
            continue
        labels = {"check": str(check.name)}
        values.append({"metric": "health.check_status", "value": _LEVELS[check.status], "labels": labels})
        if check.duration_ms is not None:
            values.append(
                {"metric": "health.check_ms", "value": check.duration_ms, "unit": "ms", "labels": labels}
            )
    return tuple(
        MetricSpec(**{**value, "value": Decimal(str(value["value"])), "recorded_at": report.checked_at})
        for value in values
    )
