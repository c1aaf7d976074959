"""Maintenance: what was removed, what differs, and how the database is."""

from decimal import Decimal
from typing import Any

from pydantic import AwareDatetime

from reelbase.models.base import Model


class RetentionResult(Model):
    """What a step of retention did to one table; `more_left`: call again."""

    table_name: str
    removed: int
    more_left: bool


class SchemaProblem(Model):
    """An object of the schema that is `missing`, `altered` or `unexpected`."""

    kind: str
    name: str
    problem: str


class DatabaseHealth(Model):
    """How the database is. Parts that cannot be measured are None; `problems` names what to look at now."""

    measured_at: AwareDatetime
    latency_ms: Decimal
    server_version: str
    problems: tuple[str, ...]
    connections: dict[str, Any] | None
    cache_hit_ratio: Decimal | None
    slow_queries: tuple[dict[str, Any], ...] | None
    long_queries: tuple[dict[str, Any], ...] | None
    oldest_transaction: dict[str, Any] | None
    transaction_ids: dict[str, Any] | None
    size: dict[str, Any] | None
    dead_tuples: tuple[dict[str, Any], ...] | None
    replication: dict[str, Any] | None
    slots: tuple[dict[str, Any], ...] | None
    queue: dict[str, Any] | None
    event_log: dict[str, Any] | None
    consumers: tuple[dict[str, Any], ...] | None
