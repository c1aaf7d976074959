"""Carrying calls through the Data API: retry around translation around the transport."""

import asyncio
import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

import tenacity

from reelbase.errors import ReelbaseError, WrongLoop
from reelbase.execution.call import Call
from reelbase.execution.deadline import Deadline
from reelbase.execution.forks import forks
from reelbase.execution.identity import Identity
from reelbase.execution.plain import AsyncPlain, Plain, Plains, plain_async_client, plain_client
from reelbase.execution.retry import RetryPolicy
from reelbase.execution.sync_http import HttpTransport
from reelbase.execution.telemetry import attempt_headers
from reelbase.execution.translation import read_reply
from reelbase.execution.transport import closed_before, malformed

if TYPE_CHECKING:
    import supabase

T = TypeVar("T")


class _Errand(Deadline[T]):
    """A call on its way: its request, its time, how often it was sent."""

    __slots__ = ("body", "failed", "sent")

    def __init__(self, call: Call[T], timeout: float) -> None:
        super().__init__(call, timeout)
        self.body: bytes | None = None
        self.sent = 0
        self.failed: ReelbaseError | None = None

    def request(self) -> tuple[str, bytes, float]:
        """What to send: function, body, and the seconds that are left for it."""
        if self.body is None:
            self.body = self.call.body()
        self.sent += 1
        return self.call.function, self.body, self.left

    def report(self, error: ReelbaseError) -> None:
        """Put on an error what only the executor knows."""
        super().report(error)
        error.retries = max(self.sent - 1, 0)

    def raise_first(self) -> None:
        """Tenacity counts the attempt that failed before it was called."""
        if self.failed is not None:
            first, self.failed = self.failed, None
            raise first


class RestExecutor:
    """Carries calls for `Reelbase`. Owns the HTTP connections; `close` them."""

    def __init__(self, url: str, identity: Identity, *, timeout: float) -> None:
        self._url = url
        self._identity = _sound(identity)
        self.timeout = timeout
        self._transport = HttpTransport(url)
        self._is_guest = False
        self._retry = RetryPolicy()
        self._plains = Plains[Plain]()
        self._plain = self._plains.add(plain_client(url, identity, timeout))

    def speaking_as(self, identity: Identity) -> "RestExecutor":
        """An executor for another identity, over the same connections; closing it leaves them open."""
        guest = copy.copy(self)
        guest._identity, guest._is_guest = _sound(identity), True  # noqa: SLF001  # its own copy
        guest._plains = Plains(self._plains)  # noqa: SLF001
        guest._plain = guest._plains.add(plain_client(self._url, identity, self.timeout))  # noqa: SLF001
        return guest

    def run(self, call: Call[T]) -> T:
        errand = _Errand(call, self.timeout)
        try:
            try:
                return self._send(errand)
            except ReelbaseError as error:
                if not self._retry.allows(call, error):
                    raise
                errand.failed = error
            # Tenacity only from the first failure on: a call that succeeds should not pay for it.
            retrying = tenacity.Retrying(**self._retry.options(errand.end))
            answer: T = retrying(lambda: self._send(errand))
        except ReelbaseError as error:
            errand.report(error)
            raise
        return answer

    def _send(self, errand: _Errand[T]) -> T:
        errand.raise_first()
        function, body, seconds = errand.request()
        headers = _headers(self._identity)
        return read_reply(errand.call, self._transport.send(function, body, headers, seconds))

    @property
    def supabase(self) -> "supabase.Client":
        if self._transport.closed:
            raise closed_before()
        plain = self._plain.get()[1]
        plain.renew()
        return plain

    @property
    def opened(self) -> bool:
        """Whether there is something to close."""
        return self._plain.opened or (self._transport.opened and not self._is_guest)

    def forget(self) -> None:
        """Let go of what nobody closed."""
        self.close()

    def close(self) -> None:
        if not self._is_guest:
            self._transport.close()
        for http, _ in self._plains.take():
            http.close()


class AsyncRestExecutor:
    """Carries calls for `AsyncReelbase`. Owns the HTTP connections; `close` them."""

    def __init__(self, url: str, identity: Identity, *, timeout: float) -> None:
        self._url = url
        self._identity = _sound(identity)
        self.timeout = timeout
        # aiohttp is for asyncio alone, and takes its time to import.
        from reelbase.execution.async_http import AsyncHttpTransport  # noqa: PLC0415

        self._transport = AsyncHttpTransport(url)
        self._is_guest = False
        self._retry = RetryPolicy()
        self.loop = BoundLoop()
        self._plains = Plains[AsyncPlain]()
        self._plain = self._plains.add(plain_async_client(url, identity, timeout))

    def speaking_as(self, identity: Identity) -> "AsyncRestExecutor":
        """An executor for another identity, over the same connections; closing it leaves them open."""
        guest = copy.copy(self)
        guest._identity, guest._is_guest = _sound(identity), True  # noqa: SLF001  # its own copy
        guest._plains = Plains(self._plains)  # noqa: SLF001
        guest._plain = guest._plains.add(plain_async_client(self._url, identity, self.timeout))  # noqa: SLF001
        return guest

    async def run(self, call: Call[T]) -> T:
        self.loop.check()
        errand = _Errand(call, self.timeout)
        try:
            try:
                return await self._send(errand)
            except ReelbaseError as error:
                if not self._retry.allows(call, error):
                    raise
                errand.failed = error
            retrying = tenacity.AsyncRetrying(**self._retry.options(errand.end))
            return await retrying(self._send, errand)
        except ReelbaseError as error:
            errand.report(error)
            raise

    async def _send(self, errand: _Errand[T]) -> T:
        errand.raise_first()
        function, body, seconds = errand.request()
        headers = _headers(self._identity)
        return read_reply(errand.call, await self._transport.send(function, body, headers, seconds))

    @property
    def supabase(self) -> "supabase.AsyncClient":
        self.loop.check()
        if self._transport.closed:
            raise closed_before()
        plain = self._plain.get()[1]
        plain.renew()
        return plain

    @property
    def opened(self) -> bool:
        """Whether there is something to close."""
        return self._plain.opened or (self._transport.opened and not self._is_guest)

    def forget(self) -> None:
        """Let go of what nobody closed, or cannot close any more, as its event loop has ended."""
        if not self._is_guest:
            self._transport.forget()
        self._plains.take()

    async def close(self) -> None:
        if not self._is_guest:
            await self._transport.close()
        for http, _ in self._plains.take():
            await http.aclose()


class BoundLoop:
    """The event loop that a client belongs to: the one it is first used in."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_of_parent = False
        forks.register(self)

    def leave_parent(self) -> None:
        """A forked child's loop is another one; the parent's does not run here, though it looks so."""
        self._is_of_parent = self._loop is not None

    def check(self) -> None:
        """Raises WrongLoop in any other. Outside of all loops nothing is decided."""
        running = _running_loop()
        if self._loop is None:
            self._loop = running
        elif running is not None and running is not self._loop:
            raise WrongLoop(
                "This AsyncReelbase belongs to another event loop.",
                hint="Make one in each loop, inside of what asyncio.run runs.",
            )

    @property
    def is_over(self) -> bool:
        """Whether there was one, and nothing runs in it any more."""
        return self._is_of_parent or (self._loop is not None and not self._loop.is_running())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _sound(identity: Identity) -> Identity:
    if not all(secret.isascii() and secret.isprintable() for secret in (identity.key, identity.token)):
        raise malformed()
    return identity


_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "Content-Profile": "public",
    "X-Client-Info": "reelbase-py",
}


def _headers(identity: Identity) -> Mapping[str, str]:
    return {**_HEADERS, **identity.headers(), **attempt_headers()}
