"""HTTP for synchronous code, by pyreqwest: hyper's connections, below Python (docs/dependencies.md says why).

Its runtime is one native thread, which all clients of a process share and which ends with the process. A call
that a closed client does not wait for any more is let go of at the latest when its time is over; a Ctrl-C is
seen when the call ends.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    ClientClosedError,
    DecodeError,
    PyreqwestError,
    RequestTimeoutError,
)

from reelbase.errors import ConfigurationError, ReelbaseError
from reelbase.execution.forks import forks
from reelbase.execution.lazy import Lazy
from reelbase.execution.transport import (
    CONNECT_SECONDS,
    IDLE_SECONDS,
    USER_AGENT,
    Reply,
    address,
    closed_meanwhile,
    late,
    malformed,
    unreachable,
    unreadable,
)


class HttpTransport:
    """The transport of `Reelbase`."""

    def __init__(self, url: str) -> None:
        self._address = address(url)
        self._client = Lazy(_client)

    @property
    def opened(self) -> bool:
        """Whether there are connections to let go of."""
        return self._client.opened

    @property
    def closed(self) -> bool:
        return self._client.closed

    def send(self, function: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        with _translated(seconds):
            request = self._client.get().post(self._address + function)
            request = request.headers(headers).body_bytes(body).timeout(timedelta(seconds=seconds))
            response = request.build().send()
            return Reply(response.status, response.headers, response.bytes().to_bytes())

    def close(self) -> None:
        client = self._client.take()
        if client is not None:
            client.close()


def _client() -> SyncClient:
    # A redirect would carry the key to an address that nobody configured.
    builder = SyncClientBuilder().follow_redirects(False).user_agent(USER_AGENT)
    builder = builder.connect_timeout(timedelta(seconds=CONNECT_SECONDS))
    builder = builder.pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
    # Of the library's two runtimes the parent's has no thread in a forked child; the other one has not begun.
    return builder.runtime_multithreaded(forks.happened).build()


@contextmanager
def _translated(seconds: float) -> Iterator[None]:
    """Raise the library's errors as ReelbaseError, the original as `__cause__`."""
    try:
        yield
    except PyreqwestError as error:
        raise _reason(error, seconds) from error
    except RuntimeError as error:
        # A fork of a fork: the library says so, and has no third runtime.
        raise ConfigurationError(
            f"There is no connecting in this process ({error})",
            hint="Start processes by spawn or forkserver.",
        ) from error
    except ValueError:
        # The message quotes what is malformed, and it may be the key.
        raise malformed() from None


def _reason(error: PyreqwestError, seconds: float) -> ReelbaseError:
    causes = _causes(error)
    reason = causes[-1] if causes else error.message
    if isinstance(error, ClientClosedError):
        return closed_meanwhile()
    if isinstance(error, BuilderError):
        return malformed()
    if isinstance(error, RequestTimeoutError) and "client error (Connect)" not in causes:
        return late(seconds)
    if isinstance(error, DecodeError) and not _is_broken_off(causes):
        return unreadable(reason)
    return unreachable(reason)


def _causes(error: PyreqwestError) -> list[str]:
    details = getattr(error, "details", None) or {}
    return [cause["message"] for cause in details.get("causes") or ()]


def _is_broken_off(causes: list[str]) -> bool:
    """Whether an answer began well and then ended, or the connection with it."""
    return "error reading a body from connection" in causes
