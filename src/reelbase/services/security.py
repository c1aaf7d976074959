"""Operations on who is calling, how often, and what an admin should know."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Literal, cast
from uuid import UUID

from reelbase.errors import ConfigurationError
from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, listing, operation
from reelbase.models import RateLimit, SecurityEvent, SecurityEventPage, Severity, UserRole
from reelbase.realtime.watch import Subject
from reelbase.services.arguments import key_or_new

if TYPE_CHECKING:
    from reelbase.execution.signing import SigningKey

AddressOrNone = IPv4Address | IPv6Address | None


class Security(Service[M]):
    """Ask who the database takes the caller for; limit calls; read and report security events."""

    def __init__(
        self,
        carry: Callable[[Call[Any]], Any],
        follow: Callable[[Subject], Any],
        signing_key: "SigningKey | None" = None,
    ) -> None:
        super().__init__(carry, follow)
        self._signing_key = signing_key

    def watch_token(
        self,
        job_id: UUID,
        *,
        expires_in: timedelta = timedelta(hours=1),
        role: Literal["anon", "authenticated"] = "anon",
    ) -> str:
        """A token whose holder may see this one job, live too, and nothing else; for at most a day.

        Made here, without a call: whether the job exists and may be shown, the caller has to know.
        For backends: raises ConfigurationError unless the client was made with a signing key.
        """
        if self._signing_key is None:
            raise ConfigurationError(
                "There is no key to sign tokens with.",
                hint="Set SUPABASE_JWT_SECRET or REELBASE_SIGNING_KEY, or give the client signing_key.",
            )
        return self._signing_key.sign({"role": role, "watch_job_id": str(job_id)}, expires_in)

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
        idempotency_key: str | None = None,
    ) -> Call[SecurityEvent]:
        """Report something suspicious, such as `unauthorized_access`; a warning unless told otherwise.

        Given again with its `idempotency_key`, it is the one already there. For backends.
        """
        return Call(
            "log_security_event",
            {
                "event_type": event_type,
                "details": details,
                "severity": severity,
                "job_id": job_id,
                "idempotency_key": key_or_new(idempotency_key),
            },
            SecurityEvent,
            idempotent=True,
            changes=(("security_events",),),
        )

    @listing
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
