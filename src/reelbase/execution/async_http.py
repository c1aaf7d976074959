"""HTTP for asyncio, by aiohttp (docs/dependencies.md says why)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp import ClientResponseError
from aiohttp.http_exceptions import ContentLengthError, HttpProcessingError, TransferEncodingError

from reelbase.errors import ConfigurationError, ReelbaseError
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


class AsyncHttpTransport:
    """The transport of `AsyncReelbase`."""

    def __init__(self, url: str) -> None:
        self._address = address(url)
        self._session = Lazy(lambda: new_session(url))

    @property
    def opened(self) -> bool:
        """Whether there are connections to let go of."""
        return self._session.opened

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def send(self, function: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Reply:
        with self._translated(seconds):
            # A redirect would carry the key to an address that nobody configured.
            request = self._session.get().post(
                self._address + function,
                data=body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS),
                allow_redirects=False,
            )
            async with request as response:
                return Reply(response.status, response.headers, await response.read())

    async def close(self) -> None:
        session = self._session.take()
        if session is not None:
            await session.close()

    def forget(self) -> None:
        """Close without waiting, for one that nobody closed."""
        session = self._session.take()
        connector = None if session is None else session.connector
        if session is not None and connector is not None:
            session.detach()
            next(connector.close().__await__(), None)

    @contextmanager
    def _translated(self, seconds: float) -> Iterator[None]:
        """Raise the library's errors as ReelbaseError, the original as `__cause__`."""
        try:
            yield
        except aiohttp.ConnectionTimeoutError as error:
            raise unreachable(f"no connection within {CONNECT_SECONDS:.0f} s") from error
        except TimeoutError as error:
            raise late(seconds) from error
        except (aiohttp.ClientError, OSError) as error:
            raise self._reason(error) from error
        except ValueError:
            # The message quotes what is malformed, and it may be the key.
            raise malformed() from None
        except RuntimeError as error:
            if self._session.closed:
                raise closed_meanwhile() from error
            raise

    def _reason(self, error: Exception) -> ReelbaseError:
        if self._session.closed:
            return closed_meanwhile()
        if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
            return malformed()
        cause = error.__cause__ if isinstance(error, aiohttp.ClientPayloadError) else error
        if isinstance(cause, ClientResponseError | HttpProcessingError) and not _is_broken_off(cause):
            return unreadable(cause.message)
        return unreachable(str(error) or type(error).__name__)


def _is_broken_off(error: Exception) -> bool:
    """Whether an answer began well and then ended."""
    return isinstance(error, TransferEncodingError | ContentLengthError)


def new_session(url: str) -> aiohttp.ClientSession:
    """A session for one host: through the environment's proxy, under our name, without cookies."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(keepalive_timeout=IDLE_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT},
        proxy=_proxy(url),
    )


def _proxy(url: str) -> str | None:
    """The environment's, looked up once: `trust_env` does so for each request, and takes longer than it."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if proxy is None or parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    if urlsplit(proxy).scheme not in {"http", "https"}:
        raise ConfigurationError(
            f"The proxy in the environment speaks {urlsplit(proxy).scheme or 'no protocol'}.",
            hint=f"Give an HTTP proxy in {parts.scheme.upper()}_PROXY, or exclude the host by NO_PROXY.",
        )
    return proxy
