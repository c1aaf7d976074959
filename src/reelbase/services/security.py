"""Operations on who is calling, how often, and what an admin should know."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any, cast
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, operation
from reelbase.models import RateLimit, SecurityEvent, SecurityEventPage, Severity, UserRole

AddressOrNone = IPv4Address | IPv6Address | None


class Security(Service[M]):
    """Ask who the database takes the caller for; limit calls; read and report security events."""

    @operation
    def user_role(self) -> Call[UserRole]:
        """The caller's role on the platform."""
        return Call("user_role", {}, UserRole, reads=("caller",))

    @operation
    def is_admin(self) -> Call[bool]:
        """Whether the caller is an admin or holds the service key."""
        return Call("is_admin", {}, bool, reads=("caller",))

    @operation
    def client_ip(self) -> Call[AddressOrNone]:
        """The caller's address as the trusted proxy saw it."""
        return Call("client_ip", {}, cast("type[AddressOrNone]", AddressOrNone), reads=("caller",))

    @operation
    def can_subscribe_to_job(self, job_id: UUID) -> Call[bool]:
        """Whether the caller may follow the job; false for unknown ones."""
        return Call("can_subscribe_to_job", {"job_id": job_id}, bool, reads=("caller",))

    @operation
    def check_rate_limit(self, key: str, max_calls: int, per: timedelta) -> Call[RateLimit]:
        """Count a call under a key: at most `max_calls` may go on in each window as long as `per`.

        Windows are fixed, 1 second to 31 days long. For backends.
        """
        return Call("check_rate_limit", {"key": key, "max_calls": max_calls, "per": per}, RateLimit)

    @operation
    def log_event(
        self,
        event_type: str,
        *,
        details: Mapping[str, Any] | None = None,
        severity: Severity | None = None,
        job_id: UUID | None = None,
    ) -> Call[SecurityEvent]:
        """Report something suspicious, such as `unauthorized_access`; a warning unless told otherwise.

        For backends.
        """
        return Call(
            "log_security_event",
            {"event_type": event_type, "details": details, "severity": severity, "job_id": job_id},
            SecurityEvent,
            changes=(("security_events",),),
        )

    @operation
    def list_events(
        self,
        *,
        event_type: str | None = None,
        severity: Severity | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        page_size: int = 50,
        cursor: str | None = None,
    ) -> Call[SecurityEventPage]:
        """One page of security events, newest first. For admins."""
        return Call(
            "get_security_events",
            {
                "event_type": event_type,
                "severity": severity,
                "from_time": from_time,
                "to_time": to_time,
                "page_size": page_size,
                "cursor": cursor,
            },
            SecurityEventPage,
            reads=("security_events",),
        )
