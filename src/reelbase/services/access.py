"""Operations on the log of accesses to finished videos."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.execution.operation import M, Service, listing, operation
from reelbase.models import UrlAccess, UrlAccessGroup, UrlAccessPage, UrlAccessSpec, UrlAccessStatistics
from reelbase.services.arguments import Address, Number, each_with_key, key_or_new
from reelbase.services.changes import LISTS

Dimension = Literal["day", "country", "referrer", "agent_family", "status_code"]


class Access(Service[M]):
    """Log who fetched the videos, and report on it. For backends.

    Times are half open ranges, `from_time` included, `to_time` not; reports are of the last 30 days unless
    told otherwise.
    """

    @operation
    def log(
        self,
        job_id: UUID,
        url: str,
        *,
        client_ip: Address | None = None,
        user_agent: str | None = None,
        referrer: str | None = None,
        country: str | None = None,
        status_code: int | None = None,
        bytes_sent: int | None = None,
        latency_ms: Number | None = None,
        idempotency_key: str | None = None,
        accessed_at: datetime | None = None,
    ) -> Call[UrlAccess]:
        """Log one access; given again with its `idempotency_key`, it is the one already there.

        The address is cut to its network unless the database is set to keep it.
        """
        return Call(
            "log_url_access",
            {
                "job_id": job_id,
                "url": url,
                "client_ip": client_ip,
                "user_agent": user_agent,
                "referrer": referrer,
                "country": country,
                "status_code": status_code,
                "bytes_sent": bytes_sent,
                "latency_ms": latency_ms,
                "idempotency_key": key_or_new(idempotency_key),
                "accessed_at": accessed_at,
            },
            UrlAccess,
            idempotent=True,
            changes=(("access",), *LISTS),
        )

    @operation
    def log_many(self, accesses: Iterable[UrlAccessSpec]) -> Call[list[UrlAccess]]:
        """Log 1 to 1000 accesses, all or none; the rows in their order."""
        return Call(
            "log_url_accesses",
            {"accesses": each_with_key(accesses)},
            list[UrlAccess],
            idempotent=True,
            changes=(("access",), *LISTS),
        )

    @operation
    def statistics(
        self,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        job_id: UUID | None = None,
    ) -> Call[UrlAccessStatistics]:
        """Count, errors, bytes and latency of accesses."""
        return Call(
            "get_url_access_statistics",
            {"from_time": from_time, "to_time": to_time, "job_id": job_id},
            UrlAccessStatistics,
            reads=(
                "statistics",
                "access",
            ),
        )

    @operation
    def grouped_by(
        self,
        dimension: Dimension,
        *,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        job_id: UUID | None = None,
        max_rows: int = 100,
    ) -> Call[list[UrlAccessGroup]]:
        """Accesses by day (of UTC, newest first) or by another property (most accessed first)."""
        return Call(
            "get_url_accesses_by",
            {
                "dimension": dimension,
                "from_time": from_time,
                "to_time": to_time,
                "job_id": job_id,
                "max_rows": max_rows,
            },
            list[UrlAccessGroup],
            reads=(
                "statistics",
                "access",
            ),
        )

    @listing
    def list(
        self,
        *,
        job_id: UUID | None = None,
        from_time: datetime | None = None,
        to_time: datetime | None = None,
        page_size: int = 50,
        cursor: str | None = None,
    ) -> Call[UrlAccessPage]:
        """One page of accesses, newest first."""
        return Call(
            "get_url_accesses",
            {
                "job_id": job_id,
                "from_time": from_time,
                "to_time": to_time,
                "page_size": page_size,
                "cursor": cursor,
            },
            UrlAccessPage,
            reads=("access",),
        )
