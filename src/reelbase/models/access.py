"""Accesses to finished videos: who fetched them, from where and how fast."""

from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from uuid import UUID

from pydantic import AwareDatetime

from reelbase.models.base import Model, Page


class UrlAccessSpec(Model):
    """An access to be logged. `latency_ms` is milliseconds to the first byte, `country` an ISO 3166-1 code;
    `accessed_at` is now unless told otherwise."""

    job_id: UUID
    url: str
    client_ip: IPv4Address | IPv6Address | None = None
    user_agent: str | None = None
    referrer: str | None = None
    country: str | None = None
    status_code: int | None = None
    bytes_sent: int | None = None
    latency_ms: Decimal | None = None
    idempotency_key: str | None = None
    accessed_at: AwareDatetime | None = None


class UrlAccess(Model):
    """One row of `url_access_logs`. `client_ip` is the client's network, unless the database keeps
    addresses whole."""

    id: UUID
    job_id: UUID
    url: str
    client_ip: IPv4Address | IPv6Address | IPv4Network | IPv6Network | None
    user_agent: str | None
    agent_family: str
    referrer: str | None
    referrer_host: str | None
    country: str | None
    status_code: int
    bytes_sent: int | None
    latency_ms: Decimal | None
    idempotency_key: str | None
    accessed_at: AwareDatetime


class UrlAccessPage(Page[UrlAccess]):
    """One page of accesses."""


class UrlAccessStatistics(Model):
    """Totals of accesses. Errors are statuses from 400; clients are told apart as far as addresses are
    stored."""

    access_count: int
    error_count: int
    job_count: int
    client_count: int
    total_bytes: Decimal
    p50_bytes: Decimal | None
    p95_bytes: Decimal | None
    p99_bytes: Decimal | None
    mean_latency_ms: Decimal | None
    p50_latency_ms: Decimal | None
    p95_latency_ms: Decimal | None
    p99_latency_ms: Decimal | None


class UrlAccessGroup(Model):
    """Totals of the accesses that have one value in common; `value` is None for those that have none."""

    value: str | None
    access_count: int
    error_count: int
    total_bytes: Decimal
    p50_latency_ms: Decimal | None
    p95_latency_ms: Decimal | None
