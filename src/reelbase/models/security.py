"""Security: what an admin should know, and how often callers may call."""

from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from pydantic import AwareDatetime

from reelbase.models.base import JsonObject, Model, OpenEnum, Page


class Severity(OpenEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class UserRole(OpenEnum):
    """The role of a caller on the platform."""

    SERVICE_ROLE = "service_role"
    ADMIN = "admin"
    SERVICE_ACCOUNT = "service_account"
    AUTHENTICATED = "authenticated"
    ANON = "anon"


class SecurityEvent(Model):
    """One row of `security_events`: what happened, who did it and from where, as the request proved it."""

    id: int
    event_type: str
    severity: Severity
    actor_role: UserRole
    actor_id: UUID | None
    client_ip: IPv4Address | IPv6Address | None
    job_id: UUID | None
    details: JsonObject
    created_at: AwareDatetime
    idempotency_key: str | None


class SecurityEventPage(Page[SecurityEvent]):
    """One page of security events."""


class RateLimit(Model):
    """Whether a call may go on, how many more may in this window, and the seconds until the next window
    if it may not."""

    allowed: bool
    remaining: int
    retry_after: Decimal
