"""Where Realtime is, who asks, and how patient we are with it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

LivePath: TypeAlias = Literal["postgres_changes", "broadcast"]
"""How rows come live; docs/concepts/realtime.md says when to choose which."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    connect: float = 10.0
    """For the socket to open."""
    join: float = 10.0
    """For the server to confirm a subscription; a failing database makes it slow."""
    heartbeat: float = 15.0
    """Between heartbeats. Without any, the server closes the socket after about 66."""
    silence: float = 10.0
    """From a heartbeat to the next sign of life, else the socket is dead. A refused join silences the whole
    socket for 5."""
    lifetime: float = 23 * 3600.0
    """Of a socket: hosted projects close those of a publishable key after a day."""
    first_retry: float = 0.5
    longest_retry: float = 30.0
    longest_rejoin: float = 300.0
    """After refusals, each of which silences the socket for others too."""


@dataclass(frozen=True, slots=True)
class RealtimeEndpoint:
    """Where Realtime is and who asks. Keys do not show in the repr."""

    url: str
    key: str = field(repr=False)
    token: Callable[[], Awaitable[str]] | None = field(default=None, repr=False)
    """Tells a token that is valid for a while; the key speaks where there is none."""
    due_in: Callable[[], float | None] = field(default=lambda: None, repr=False)
    """In how many seconds the token should be renewed; None if never."""
    timing: Timing = Timing()
    channels: int = 100
    """How many channels a socket may have at most."""

    async def fresh_token(self) -> str:
        return self.key if self.token is None else await self.token()
