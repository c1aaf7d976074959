"""The seam between calls and the network: one request to a function, one reply.

Nothing above it knows which HTTP library is below (`http.py`), and nothing below knows what a Call is.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


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
