"""Whom a client speaks for: its API key, and the access token that goes with each request."""

import asyncio
import base64
import hashlib
import inspect
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, TypeVar, overload

from reelbase.errors import Answer, AuthenticationError, ConfigurationError
from reelbase.execution.call import Call
from reelbase.execution.deadline import Deadline
from reelbase.execution.forks import forks

T = TypeVar("T")

TokenProvider = Callable[[], str | Awaitable[str]]
"""Returns a valid access token, a JWT; asked again before it expires. AsyncReelbase takes asynchronous ones
too."""

_MARGIN = 60.0
# No server takes it: until its provider is asked, an identity is nobody, and not the key that others share.
_UNASKED = "no-token-yet"
_PROVIDER = "token provider"
# What changes when a token is renewed, while the one it speaks for stays the same.
_PASSING_CLAIMS = {"iat", "exp", "nbf", "jti", "amr", "auth_time"}


class Secret(str):
    """A text that does not show in the repr of what holds it, nor in tracebacks that show local variables."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class Identity:
    """An API key and, if the client speaks for somebody else than the key, that one's token.

    Shared by threads or tasks: of those that find the token due, one renews it and the others wait.
    """

    def __init__(
        self, key: str, access_token: str | None = None, token_provider: TokenProvider | None = None
    ) -> None:
        self.key = Secret(key)
        self._provider = token_provider
        self._lock = threading.Lock()
        self._turn: asyncio.Lock | None = None
        self._asked: Future[Awaitable[str] | None] | None = None
        self._due: float | None = None
        self.token: str = Secret(_UNASKED if token_provider else access_token or key)
        """What goes into Authorization; after `fresh`, valid for a while."""
        if access_token is not None and token_provider is not None:
            raise ConfigurationError("Give access_token or token_provider, not both.")
        if access_token == "":
            # Who gives an empty one, of a request without any, must not speak for the key.
            raise AuthenticationError(Answer("The access token is empty."))
        if token_provider is not None:
            forks.register(self)

    def leave_parent(self) -> None:
        """After a fork: whoever holds the lock, or has been asked, has stayed in the parent."""
        self._lock, self._turn, self._asked = threading.Lock(), None, None

    def __repr__(self) -> str:
        return f"Identity({self.role or 'unknown role'})"

    @property
    def speaks_for_key(self) -> bool:
        """Whether the key alone speaks, without a token."""
        return self._provider is None and self.token == self.key

    @property
    def role(self) -> str | None:
        """The Postgres role by the token's own word; None where only the server knows it."""
        if self.token.startswith("sb_"):
            return "service_role" if self.token.startswith("sb_secret_") else "anon"
        return claims_of(self.token).get("role")

    @property
    def scope(self) -> str:
        """The same for all tokens of the same one, different for different ones: a part of cache keys."""
        claims = {name: value for name, value in claims_of(self.token).items() if name not in _PASSING_CLAIMS}
        stable = json.dumps(claims, sort_keys=True) if claims else self.token
        return hashlib.sha256(stable.encode()).hexdigest()[:32]

    def headers(self) -> dict[str, str]:
        """The headers of a request that is to be sent now."""
        return {"apikey": self.key, "Authorization": Secret(f"Bearer {self.token}")}

    @property
    def renews(self) -> bool:
        """Whether a new token can be had."""
        return self._provider is not None

    def due_in(self) -> float | None:
        """Seconds until the token should be renewed; None if it cannot or need not be."""
        if self._provider is None or (self.token != _UNASKED and self._due is None):
            return None
        return 0.0 if self._due is None else max(0.0, self._due - time.time())

    def fresh(self, *, rejected: str | None = None) -> str:
        """A token that is valid for a while, and is not the rejected one. Asks the provider if need be."""
        if self._needs(rejected) and (answer := self._answered(rejected)) is not None:
            getattr(answer, "close", lambda: None)()
            raise ConfigurationError("token_provider is asynchronous.", hint="Use it with AsyncReelbase.")
        return self.token

    async def fresh_async(self, *, rejected: str | None = None) -> str:
        """The same for asyncio. A provider that blocks has one thread, however many ask and give up."""
        if self._needs(rejected):
            self._turn = self._turn or asyncio.Lock()
            async with self._turn:
                if self._needs(rejected):
                    await self._renew(rejected)
        return self.token

    def _needs(self, rejected: str | None) -> bool:
        return self._provider is not None and (self.due_in() == 0 or self.token == rejected)

    def _answered(self, rejected: str | None) -> Awaitable[str] | None:
        """Ask the provider, if that is needed still, and take its token; or what is to be awaited for it."""
        with self._lock:
            if not self._needs(rejected):
                return None
            assert self._provider is not None  # noqa: S101  # for type checkers
            try:
                answer = _hidden(self._provider())
            except Exception as error:
                raise _unavailable(error) from error
            if not isinstance(answer, str):
                return answer
            self._take(answer)
            return None

    async def _renew(self, rejected: str | None) -> None:
        answer: Awaitable[str] | None
        if inspect.iscoroutinefunction(self._provider):
            answer = self._provider()
        else:
            # It may ask a server, and the event loop must not wait for that. Who gives up leaves the thread
            # to whoever asks next.
            if self._asked is None or self._asked.done():
                self._asked = _in_thread(self._answered, rejected)
            answer = await asyncio.wrap_future(self._asked)
        if answer is not None:
            try:
                token = _hidden(await answer)
            except Exception as error:
                raise _unavailable(error) from error
            self._take(token)

    def _take(self, token: str) -> None:
        claims = claims_of(token)
        if not claims:
            raise ConfigurationError("token_provider returned something that is no JWT.")
        expires = claims.get("exp")
        now = time.time()
        if isinstance(expires, int | float):
            self._due = expires - min(_MARGIN, max(0.0, expires - now) / 2)
        else:
            self._due = None
        self.token = token


def claims_of(token: str) -> Mapping[str, Any]:
    """What a token says of itself, not verified; nothing if it is no JWT."""
    _, _, rest = token.partition(".")
    payload, _, _ = rest.partition(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def renewing(
    carry: Callable[[Call[Any]], Any], identity: Identity, timeout: float
) -> Callable[[Call[Any]], Any]:
    """Have a valid token before each call, and try once more with a new one when it is not accepted.

    Nothing was done by a call whose token was refused, so that the repeat is safe for every call. Both, and
    the provider, share the call's time.
    """
    if not identity.renews:
        return carry

    def run(call: Call[Any]) -> Any:
        deadline = Deadline(call, timeout)
        token = _fresh(identity, deadline)
        try:
            return carry(deadline.rest())
        except AuthenticationError:
            _fresh(identity, deadline, rejected=token)
            return carry(deadline.rest())

    return run


def renewing_async(
    carry: Callable[[Call[Any]], Awaitable[Any]], identity: Identity, timeout: float
) -> Callable[[Call[Any]], Awaitable[Any]]:
    """The same for asyncio."""
    if not identity.renews:
        return carry

    async def run(call: Call[Any]) -> Any:
        deadline = Deadline(call, timeout)
        token = await _fresh_async(identity, deadline)
        try:
            return await carry(deadline.rest())
        except AuthenticationError:
            await _fresh_async(identity, deadline, rejected=token)
            return await carry(deadline.rest())

    return run


def _fresh(identity: Identity, deadline: Deadline[Any], rejected: str | None = None) -> str:
    token = identity.fresh(rejected=rejected)
    # A provider in this thread cannot be interrupted. What it was asked for is not begun too late.
    if deadline.over:
        raise deadline.missed(_PROVIDER)
    return token


async def _fresh_async(identity: Identity, deadline: Deadline[Any], rejected: str | None = None) -> str:
    try:
        async with asyncio.timeout(deadline.left):
            return await identity.fresh_async(rejected=rejected)
    except TimeoutError as error:
        raise deadline.missed(_PROVIDER) from error


@overload
def _hidden(answer: Awaitable[str]) -> Awaitable[str]: ...
@overload
def _hidden(answer: str) -> Secret: ...
def _hidden(answer: str | Awaitable[str]) -> Secret | Awaitable[str]:
    """What a provider returned, so that no traceback shows it; what is no text is no token, and left out."""
    if inspect.isawaitable(answer):
        return answer
    return Secret(answer if isinstance(answer, str) else "")


def _in_thread(work: Callable[..., T], *arguments: Any) -> Future[T]:
    """Begin a call that may never return: it takes no worker of a pool, and no process waits for it."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()
    context = copy_context()

    def run() -> None:
        try:
            done.set_result(context.run(work, *arguments))
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="reelbase-token", daemon=True).start()
    return done


def _unavailable(error: Exception) -> AuthenticationError:
    unavailable = AuthenticationError(Answer(f"The token provider failed ({type(error).__name__})."))
    # Whom it asks may be back soon: streams that have begun wait for that.
    unavailable.transient = True
    return unavailable
