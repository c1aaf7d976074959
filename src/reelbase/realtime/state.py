"""How live a feed is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ConnectionPhase(StrEnum):
    CONNECTING = "connecting"
    """The live connection is not there yet; the log is read meanwhile."""
    LIVE = "live"
    """Rows come by push; the log is read at a slow beat, for certainty."""
    CATCHING_UP = "catching_up"
    """Live, and reading what was missed before."""
    POLLING = "polling"
    """The live connection is away, or brings nothing: the log is read at a faster beat."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """A phase, why it is so, and since when."""

    phase: ConnectionPhase
    reason: str
    since: datetime

    def __str__(self) -> str:
        return f"{self.phase} ({self.reason})"
