"""What a channel brings."""

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID

Table: TypeAlias = Literal["job_events", "system_events"]


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of a table that match a filter, or what the database broadcasts to a private topic."""

    table: Table = "job_events"
    filter: str | None = None
    topic: str | None = None

    @classmethod
    def of_job(cls, job_id: UUID, *, broadcast: bool) -> "Source":
        return cls(topic=f"job:{job_id}") if broadcast else cls(filter=f"job_id=eq.{job_id}")

    @classmethod
    def of_user(cls, user_id: UUID, *, broadcast: bool) -> "Source":
        return cls(topic=f"user:{user_id}") if broadcast else cls(filter=f"user_id=eq.{user_id}")

    @property
    def is_broadcast(self) -> bool:
        return self.topic is not None

    def channel(self, number: int) -> str:
        """The topic of the `number`-th channel. For changes of a table each has one of its own, so that a
        channel that the server still holds is never taken for the new one."""
        return f"realtime:{self.topic}" if self.is_broadcast else f"realtime:reelbase:{number}"

    def config(self) -> dict[str, Any]:
        """What the join asks for."""
        change: dict[str, Any] = {"event": "INSERT", "schema": "public", "table": self.table}
        if self.filter is not None:
            change["filter"] = self.filter
        return {
            "broadcast": {"ack": False, "self": False},
            "presence": {"enabled": False, "key": ""},
            "postgres_changes": [] if self.is_broadcast else [change],
            "private": self.is_broadcast,
        }

    def __str__(self) -> str:
        if self.topic is not None:
            return self.topic
        return self.table if self.filter is None else f"{self.table}[{self.filter}]"
