"""Operations on metrics."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, listing, operation
from reelbase.models import (
    Metric,
    MetricBucket,
    MetricSpec,
    MetricThreshold,
    Severity,
    SystemEventLogPage,
    SystemEventPage,
)
from reelbase.services.arguments import Number, each_with_key, key_or_new

_RECORDING = (("metrics",), ("system_events",))


class Metrics(Service[M]):
    """Record measurements, read them as series, and be told when one crosses its limits. For backends."""

    @operation
    def record(
        self,
        metric: str,
        value: Number,
        *,
        unit: str | None = None,
        labels: Mapping[str, Any] | None = None,
        recorded_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Call[Metric]:
        """Record one value; given again with its `idempotency_key`, it is the one already there."""
        return Call(
            "record_metric",
            {
                "metric": metric,
                "value": value,
                "unit": unit,
                "labels": labels,
                "recorded_at": recorded_at,
                "idempotency_key": key_or_new(idempotency_key),
            },
            Metric,
            idempotent=True,
            changes=_RECORDING,
        )

    @operation
    def record_many(self, metrics: Iterable[MetricSpec]) -> Call[list[Metric]]:
        """Record 1 to 1000 values, all or none."""
        return Call(
            "record_metrics",
            {"metrics": each_with_key(metrics)},
            list[Metric],
            idempotent=True,
            changes=_RECORDING,
        )

    @operation
    def series(
        self,
        metric: str,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        bucket: timedelta | None = None,
        labels: Mapping[str, Any] | None = None,
    ) -> Call[list[MetricBucket]]:
        """A metric in buckets of time, of all its series with these labels together.

        The last hour in minutes unless told otherwise; buckets without values are left out.
        """
        return Call(
            "get_metric_series",
            {
                "metric": metric,
                "from_time": from_time,
                "to_time": to_time,
                "bucket": bucket,
                "labels": labels,
            },
            list[MetricBucket],
            reads=("metrics",),
        )

    @operation
    def latest(
        self, *, metrics: Iterable[str] | None = None, labels: Mapping[str, Any] | None = None
    ) -> Call[list[Metric]]:
        """The newest value of each series: of the named metrics or all, whose labels contain those given."""
        return Call(
            "get_latest_metrics",
            {"metrics": None if metrics is None else tuple(metrics), "labels": labels},
            list[Metric],
            reads=("metrics",),
        )

    @operation
    def set_threshold(
        self,
        metric: str,
        *,
        warning: Number | None = None,
        critical: Number | None = None,
        direction: Literal["above", "below"] = "above",
    ) -> Call[MetricThreshold]:
        """Set the limits of a metric; crossing one is a system event."""
        return Call(
            "set_metric_threshold",
            {"metric": metric, "warning": warning, "critical": critical, "direction": direction},
            MetricThreshold,
            idempotent=True,
            changes=(("metrics",),),
        )

    @operation
    def thresholds(self) -> Call[list[MetricThreshold]]:
        """All limits, and how their metrics stand."""
        return Call("get_metric_thresholds", {}, list[MetricThreshold], reads=("metrics",))

    @operation
    def delete_threshold(self, metric: str) -> Call[MetricThreshold]:
        """Forget the limits of a metric. Raises NotFound."""
        return Call("delete_metric_threshold", {"metric": metric}, MetricThreshold, changes=(("metrics",),))

    @listing
    def system_events(
        self,
        *,
        type: str | None = None,  # noqa: A002  # the column's name
        severity: Severity | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        page_size: int = 50,
        cursor: str | None = None,
    ) -> Call[SystemEventPage]:
        """One page of system events, newest first."""
        return Call(
            "get_system_events",
            {
                "type": type,
                "severity": severity,
                "from_time": from_time,
                "to_time": to_time,
                "page_size": page_size,
                "cursor": cursor,
            },
            SystemEventPage,
            reads=("system_events",),
        )

    @listing
    def read_system_events(
        self,
        *,
        after: str | None = None,
        severity: Iterable[Severity] | None = None,
        types: Iterable[str] | None = None,
        max_events: int = 500,
    ) -> Call[SystemEventLogPage]:
        """System events after a cursor or from the beginning, oldest first, late commits included.

        To be told of them as they happen: `client.subscriptions.subscribe_to_system_events`.
        """
        return Call(
            "read_system_events",
            {
                "after": after,
                "severity": None if severity is None else tuple(severity),
                "types": None if types is None else tuple(types),
                "max_events": max_events,
            },
            SystemEventLogPage,
            reads=("events",),
        )

    @operation
    def system_event_cursor(self) -> Call[str]:
        """Where the system events end now: `read_system_events(after=…)` tells what comes later."""
        return Call("get_system_event_cursor", {}, str, reads=("events",))
