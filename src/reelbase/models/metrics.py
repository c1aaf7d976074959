"""Metrics: measurements of the platform and the limits that they should keep."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import AwareDatetime, Field

from reelbase.models.base import JsonObject, Listing, Model, OpenEnum, Page
from reelbase.models.security import Severity


class MetricSpec(Model):
    """A value to be recorded; `recorded_at` is now unless told otherwise."""

    metric: str
    value: Decimal
    unit: str | None = None
    labels: JsonObject = Field(default_factory=dict)
    recorded_at: AwareDatetime | None = None
    idempotency_key: str | None = None


class Metric(Model):
    """One row of `system_metrics`; a metric with a set of labels is a series."""

    id: int
    metric: str
    value: Decimal
    unit: str | None
    labels: JsonObject
    recorded_at: AwareDatetime
    idempotency_key: str | None


class MetricBucket(Model):
    """What a metric was in one stretch of time that begins at `start`."""

    start: AwareDatetime
    count: int
    avg: Decimal
    min: Decimal
    max: Decimal
    sum: Decimal
    last: Decimal
    p95: Decimal


class ThresholdState(OpenEnum):
    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


class MetricThreshold(Model):
    """The limits of a metric, and since when it is in which state: the worst one of its series.

    `direction` is `above` or `below`: from `warning` or `critical` on in that direction, the state is that.
    """

    metric: str
    warning: Decimal | None
    critical: Decimal | None
    direction: str
    state: ThresholdState
    since: AwareDatetime
    last_value: Decimal | None
    last_recorded_at: AwareDatetime | None
    updated_at: AwareDatetime


class SystemEvent(Model):
    """One row of `system_events`: what an operator should know about the platform itself."""

    id: int
    xid: int
    type: str
    severity: Severity
    data: JsonObject
    created_at: AwareDatetime


class SystemEventPage(Page[SystemEvent]):
    """One page of system events."""


class SystemEventLogPage(Listing[SystemEvent]):
    """A stretch of the system events, oldest first. `next_cursor` is where to go on, also from an empty page;
    `more` tells whether there is something to read there yet. Iterating ends where they end for now."""

    next_cursor: str
    more: bool

    def onward(self) -> Mapping[str, Any] | None:
        return {"after": self.next_cursor} if self.more else None
