"""The seam between calls and the network: one request to a function, one reply.

Nothing above it knows which HTTP libraries are below (`sync_http.py`, `async_http.py`), and nothing below
knows what a Call is. Both fail with the same errors, which are here too.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from reelbase.errors import CallTimeout, ClientClosed, ConfigurationError, ConnectionFailed, UnexpectedAnswer


class Reply(NamedTuple):
    """What the server sent, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """By name, in any case."""
    body: bytes


class Transport(Protocol):
    """Sends requests for synchronous code. Connects with the first request; threads may share it."""

    def send(self, function: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        """POST JSON to a function. `seconds` are for everything, to the reply's last byte.

        Raises ConnectionFailed, CallTimeout, UnexpectedAnswer when the reply is no HTTP, ClientClosed.
        """
        ...

    def close(self) -> None:
        """Let go of all connections. Harmless when done twice."""
        ...


class AsyncTransport(Protocol):
    """The same for asyncio."""

    async def send(self, function: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        """POST JSON to a function; like `Transport.send`."""
        ...

    async def close(self) -> None:
        """Let go of all connections. Harmless when done twice."""
        ...


CONNECT_SECONDS = 5.0
"""A server that does not even accept is tried again, or given up, well before a call's whole time is over."""

IDLE_SECONDS = 15.0
"""Less than servers and proxies keep connections: a request on one that is just being closed fails."""

USER_AGENT = "reelbase"


def address(url: str) -> str:
    """Where the functions are, to which the name is added."""
    return f"{url.rstrip('/')}/rest/v1/rpc/"


def late(seconds: float, whom: str = "server") -> CallTimeout:
    return CallTimeout(
        f"The {whom} did not answer in time ({seconds:.3g} s).",
        hint=f"Set REELBASE_TIMEOUT higher, or look at the {whom}'s load.",
    )


def unreachable(reason: str) -> ConnectionFailed:
    return ConnectionFailed(
        f"The server cannot be reached ({reason}).", hint="Check SUPABASE_URL and that the server runs."
    )


def unreadable(reason: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(f"The server's answer cannot be read ({reason}).", hint="Check SUPABASE_URL.")


def closed_before() -> ClientClosed:
    return ClientClosed("The client is closed.", hint="Make another one.")


def closed_meanwhile() -> ClientClosed:
    return ClientClosed("The client was closed during the call.")


def malformed() -> ConfigurationError:
    """Without the text in question, which may be the key."""
    return ConfigurationError(
        "The request cannot be written: the address, the key or the access token is malformed.",
        hint="Check SUPABASE_URL and the keys.",
    )
