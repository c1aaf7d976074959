"""Bringing a source to the worker's disk, from where a worker may read and nowhere else.

Whoever creates a job names its sources, and the worker opens them with its own rights: local files only
below the directories that were allowed, addresses only of the public network, each redirect included.
"""

import asyncio
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO
from urllib.parse import SplitResult, unquote, urlsplit
from uuid import uuid4

import httpx

from reelbase.worker.errors import PassingRenderError, RenderError, shown

OnBytes = Callable[[int, int | None], Awaitable[None]]
"""Gets the bytes had so far and the whole number, where the server tells it."""

_TIMEOUT = httpx.Timeout(30, connect=10)
_REDIRECTS = 5
_CHUNK = 256 * 1024
_LONGEST_SUFFIX = 6
_PASSING_STATUSES = {408, 425, 429}
_STATUS_CODES = {
    401: "source_forbidden",
    403: "source_forbidden",
    404: "source_missing",
    410: "source_missing",
}


def check(url: str, allowed_dirs: Sequence[Path], *, private_addresses: bool = False) -> None:
    """Refuse what `fetch` would refuse without asking the network.

    Raises RenderError: source_forbidden, source_missing or source_unreadable.
    """
    parts = _parts(url)
    if parts.scheme in {"http", "https"}:
        _check_literal(parts, private_addresses=private_addresses)
    else:
        _local(parts, url, allowed_dirs)


async def fetch(
    url: str,
    directory: Path,
    *,
    max_bytes: int,
    allowed_dirs: Sequence[Path],
    on_bytes: OnBytes | None = None,
    private_addresses: bool = False,
) -> Path:
    """Make the source a file of `directory`, or name a local one in place where it cannot be linked.

    `private_addresses` allows loopback and the worker's own network, for development.
    Raises RenderError: source_forbidden, source_missing, source_unreadable, source_too_large or
    download_failed.
    """
    parts = _parts(url)
    target = directory / f"source-{uuid4().hex}{_suffix(parts)}"
    if parts.scheme not in {"http", "https"}:
        local, size = await asyncio.to_thread(_taken, parts, url, allowed_dirs, target, max_bytes)
        if on_bytes is not None:
            await on_bytes(size, size)
        return local
    download = _Download(target, max_bytes, on_bytes, private_addresses=private_addresses)
    await download.run(url)
    return target


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise RenderError("source_missing", f"its address cannot be read: {error}.") from error
    if parts.scheme not in {"", "file", "http", "https"}:
        raise RenderError(
            "source_forbidden", f"{parts.scheme}: addresses are not opened; http, https and file are."
        )
    return parts


def _suffix(parts: SplitResult) -> str:
    """For people who look into the directory; what a file is, its content decides."""
    suffix = Path(parts.path).suffix.lower()
    harmless = suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= _LONGEST_SUFFIX
    return suffix if harmless else ""


def _local(parts: SplitResult, url: str, allowed_dirs: Sequence[Path]) -> Path:
    if parts.netloc not in {"", "localhost"}:
        raise RenderError("source_forbidden", "a file: address must not name another machine.")
    path = _resolved(unquote(parts.path) if parts.scheme else url)
    # The links are followed before the comparison, and what is opened is what they led to. The message
    # is the same whether the file exists, so that it tells nothing about the worker's disk.
    if not any(path.is_relative_to(directory.resolve()) for directory in allowed_dirs):
        raise RenderError("source_forbidden", "the file is outside the directories this worker may read.")
    _check_file(path)
    return path


def _check_file(path: Path) -> None:
    try:
        is_file = path.is_file()
        exists = is_file or path.exists()
    except OSError as error:
        raise RenderError("source_unreadable", f"it cannot be opened: {error.strerror}.") from error
    if not exists:
        raise RenderError("source_missing", "the file does not exist.")
    if not is_file:
        raise RenderError("source_unreadable", "it is no file.")


def _resolved(path: str) -> Path:
    try:
        return Path(path).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise RenderError("source_missing", f"its path cannot be read: {error}.") from error


def _taken(
    parts: SplitResult, url: str, allowed_dirs: Sequence[Path], target: Path, max_bytes: int
) -> tuple[Path, int]:
    path = _local(parts, url, allowed_dirs)
    size = path.stat().st_size
    _check_size(size, max_bytes)
    return _linked(path, target), size


def _linked(path: Path, target: Path) -> Path:
    """A second name costs nothing and stays when the first is removed during the work."""
    try:
        os.link(path, target)
    except OSError:
        return path  # another disk, or a file of another user: read it where it is
    return target


class _Download:
    """One source from the web to one file, which exists afterwards only when it is whole."""

    def __init__(
        self, target: Path, max_bytes: int, on_bytes: OnBytes | None, *, private_addresses: bool
    ) -> None:
        self._target = target
        self._max_bytes = max_bytes
        self._on_bytes = on_bytes
        self._private_addresses = private_addresses

    async def run(self, url: str) -> None:
        try:
            async with self._client() as client, client.stream("GET", url) as response:
                self._check_peer(response)
                _check_status(response)
                await self._save(response)
        except httpx.TooManyRedirects as error:
            raise _failed(f"more than {_REDIRECTS} redirects", error) from error
        except httpx.TimeoutException as error:
            raise _failed("the server did not answer in time", error, PassingRenderError) from error
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            raise _failed(_reason(error), error, PassingRenderError) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _failed(_reason(error), error) from error

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            timeout=_TIMEOUT,
            follow_redirects=True,
            max_redirects=_REDIRECTS,
            headers={"accept-encoding": "identity"},
            event_hooks={"request": [self._check_request]},
            # A proxy would be asked for addresses that were never checked.
            trust_env=False,
        )

    async def _check_request(self, request: httpx.Request) -> None:
        """Also called for every redirect."""
        if request.url.scheme not in {"http", "https"}:
            raise RenderError("source_forbidden", "it leads to an address that is not http or https.")
        if not self._private_addresses:
            for address in await _addresses(request.url.host, request.url.port):
                _check_public(address)

    def _check_peer(self, response: httpx.Response) -> None:
        """A name may have meant another address by the time it was used."""
        stream = response.extensions.get("network_stream")
        peer = None if stream is None else stream.get_extra_info("server_addr")
        if peer is not None and not self._private_addresses:
            _check_public(peer[0])

    async def _save(self, response: httpx.Response) -> None:
        total = _announced(response)
        _check_size(total or 0, self._max_bytes)
        async with _new_file(self._target) as file:
            received = 0
            async for chunk in response.aiter_bytes(_CHUNK):
                received += len(chunk)
                _check_size(received, self._max_bytes)
                await asyncio.to_thread(file.write, chunk)
                if self._on_bytes is not None:
                    await self._on_bytes(received, total)


@asynccontextmanager
async def _new_file(path: Path) -> AsyncIterator[IO[bytes]]:
    """A file that is removed again unless the block ends well."""
    file = await asyncio.to_thread(path.open, "xb")
    try:
        with file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)  # noqa: ASYNC240 # one unlink; a thread could outlive the task
        raise


async def _addresses(host: str, port: int | None) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        passing = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        kind = PassingRenderError if passing else RenderError
        raise _failed(f"the name {host!r} is not known", error, kind) from error
    return [str(address[0]) for *_, address in found]


def _check_literal(parts: SplitResult, *, private_addresses: bool) -> None:
    if not parts.hostname:
        raise RenderError("source_missing", "its address names no server.")
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        return  # a name, which `fetch` looks up
    if not private_addresses:
        _check_public(parts.hostname)


def _check_public(address: str) -> None:
    ip = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(ip, "ipv4_mapped", None) or ip
    if not plain.is_global or plain.is_multicast:
        raise RenderError("source_forbidden", "the address is not of the public network.")


def _check_status(response: httpx.Response) -> None:
    if response.is_success:
        return
    status = response.status_code
    reason = f"{shown(str(response.url))} answered {status} {response.reason_phrase}".rstrip()
    code = _STATUS_CODES.get(status, "download_failed")
    passing = response.is_server_error or status in _PASSING_STATUSES
    kind = PassingRenderError if passing else RenderError
    raise kind(code, f"{reason}.", details={"status": status})


def _announced(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise RenderError(
            "source_too_large", f"it has more than {limit} bytes.", details={"max_bytes": limit}
        )


def _failed(reason: str, error: Exception, kind: type[RenderError] = RenderError) -> RenderError:
    return kind("download_failed", f"{reason}.", details={"reason": type(error).__name__})


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
