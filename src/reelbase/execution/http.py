"""HTTP by pyreqwest: hyper's connections, below Python (docs/dependencies.md says why).

Its runtime is one native thread, which all clients of a process share and which ends with the process. What
nobody waits for any more, because the task was cancelled or the client closed, it lets go of at the latest
when the time of the call is over; a Ctrl-C is seen when the call ends.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from threading import Lock
from typing import Generic, TypeVar

from pyreqwest.client import Client, ClientBuilder, SyncClient, SyncClientBuilder
from pyreqwest.exceptions import (
    BuilderError,
    ClientClosedError,
    DecodeError,
    PyreqwestError,
    RequestTimeoutError,
)

from reelbase.errors import (
    CallTimeout,
    ClientClosed,
    ConfigurationError,
    ConnectionFailed,
    ReelbaseError,
    UnexpectedAnswer,
)
from reelbase.execution.forks import forks
from reelbase.execution.transport import Reply

# A server that does not even accept is tried again, or given up, well before a call's whole time is over.
_CONNECT_TIMEOUT = timedelta(seconds=5)
# Below what servers and proxies keep idle connections for: a request on one that is just being closed fails.
_IDLE_TIMEOUT = timedelta(seconds=15)

ClientT = TypeVar("ClientT", Client, SyncClient)
BuilderT = TypeVar("BuilderT", ClientBuilder, SyncClientBuilder)


class _Http(Generic[ClientT]):
    """What both transports share: a library client, made with the first request of each process."""

    def __init__(self, url: str) -> None:
        self._address = f"{url.rstrip('/')}/rest/v1/rpc/"
        self._client: ClientT | None = None
        self._lock = Lock()
        self._closed = False
        forks.register(self)

    @property
    def opened(self) -> bool:
        """Whether there are connections to let go of."""
        return self._client is not None

    def check_open(self) -> None:
        """Raises ClientClosed."""
        if self._closed:
            raise ClientClosed("The client is closed.", hint="Make another one.")

    def leave_parent(self) -> object:
        client, self._client, self._lock = self._client, None, Lock()
        return client

    def _ready(self) -> ClientT:
        if self._client is not None:
            return self._client
        with self._lock:
            self.check_open()
            if self._client is None:
                self._client = self._build()
            return self._client

    def _build(self) -> ClientT:
        raise NotImplementedError

    def _take(self) -> ClientT | None:
        """The library's client, to be closed; from now on there is none."""
        with self._lock:
            self._closed = True
            client, self._client = self._client, None
        return client


class HttpTransport(_Http[SyncClient]):
    """The transport of `Reelbase`."""

    def send(self, function: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        with _translated(seconds):
            request = self._ready().post(self._address + function)
            request = request.headers(headers).body_bytes(body).timeout(timedelta(seconds=seconds))
            response = request.build().send()
            return Reply(response.status, response.headers, response.bytes().to_bytes())

    def close(self) -> None:
        client = self._take()
        if client is not None:
            client.close()

    def _build(self) -> SyncClient:
        return _configured(SyncClientBuilder()).build()


class AsyncHttpTransport(_Http[Client]):
    """The transport of `AsyncReelbase`."""

    async def send(self, function: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        with _translated(seconds):
            request = self._ready().post(self._address + function)
            request = request.headers(headers).body_bytes(body).timeout(timedelta(seconds=seconds))
            response = await request.build().send()
            return Reply(response.status, response.headers, (await response.bytes()).to_bytes())

    async def close(self) -> None:
        client = self._take()
        if client is not None:
            await client.close()

    def _build(self) -> Client:
        return _configured(ClientBuilder()).build()


def _configured(builder: BuilderT) -> BuilderT:
    # A redirect would carry the key to an address that nobody configured.
    builder = builder.follow_redirects(False).connect_timeout(_CONNECT_TIMEOUT)
    # Of the library's two runtimes the parent's has no thread in a forked child; the other one has not begun.
    builder = builder.pool_idle_timeout(_IDLE_TIMEOUT).runtime_multithreaded(forks.happened)
    return builder.user_agent("reelbase")


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
        # An address or header that is none. The message quotes it, and it may be the key.
        raise ConfigurationError(
            "The request cannot be written: the address, the key or the access token is malformed.",
            hint="Check SUPABASE_URL and the keys.",
        ) from None


def _reason(error: PyreqwestError, seconds: float) -> ReelbaseError:
    causes = _causes(error)
    reason = causes[-1] if causes else error.message
    if isinstance(error, ClientClosedError):
        return ClientClosed("The client was closed during the call.")
    if isinstance(error, BuilderError):
        return ConfigurationError(f"The address is none ({reason}).", hint="Check SUPABASE_URL.")
    if isinstance(error, RequestTimeoutError) and "client error (Connect)" not in causes:
        return CallTimeout(
            f"The server did not answer in time ({seconds:.3g} s).",
            hint="Set REELBASE_TIMEOUT higher, or look at the server's load.",
        )
    if isinstance(error, DecodeError) and not _is_broken_off(causes):
        return UnexpectedAnswer(f"The server's answer cannot be read ({reason}).", hint="Check SUPABASE_URL.")
    return ConnectionFailed(
        f"The server cannot be reached ({reason}).", hint="Check SUPABASE_URL and that the server runs."
    )


def _causes(error: PyreqwestError) -> list[str]:
    details = getattr(error, "details", None) or {}
    return [cause["message"] for cause in details.get("causes") or ()]


def _is_broken_off(causes: list[str]) -> bool:
    """Whether an answer began well and then ended, or the connection with it."""
    return "error reading a body from connection" in causes
