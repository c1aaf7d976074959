"""What is to be seen of calls: log records, hooks, correlation ids; spans and metrics where OpenTelemetry is.

Never the values of arguments, nor keys.
"""

import inspect
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from reelbase.errors import CallRefused, ReelbaseError
from reelbase.execution.call import Call
from reelbase.execution.spans import Span, Spans

logger = logging.getLogger("reelbase.calls")

HEADER = "X-Correlation-Id"
_FITTING = re.compile(r"[!-~]{1,128}")

_correlation: ContextVar[str | None] = ContextVar("reelbase_correlation", default=None)
_observation: ContextVar["Observation | None"] = ContextVar("reelbase_observation", default=None)


@dataclass(frozen=True, slots=True)
class CallReport:
    """A call as hooks see it: before it with nothing but its first two properties, afterwards with all.

    `outcome` is `ok` or the cause of the error: the server's word (docs/errors.md), else the class's name.
    """

    function: str
    correlation_id: str
    duration: float | None = None
    """Seconds, repeats included."""
    retries: int = 0
    outcome: str | None = None
    error: BaseException | None = None


Hook = Callable[[CallReport], object]
HookT = TypeVar("HookT", bound=Hook)


class Hooks:
    """Functions to be called around each call; each method also serves as a decorator.

    They run in the calling thread or task and should be quick. One that raises is logged; the call goes on.
    """

    def __init__(self) -> None:
        self.before_call: list[Hook] = []
        self.after_call: list[Hook] = []
        self.after_error: list[Hook] = []

    def before(self, hook: HookT) -> HookT:
        """Before each call."""
        return _added(self.before_call, hook)

    def after(self, hook: HookT) -> HookT:
        """After each call, whatever became of it."""
        return _added(self.after_call, hook)

    def on_error(self, hook: HookT) -> HookT:
        """After each call that failed."""
        return _added(self.after_error, hook)


def _added(hooks: list[Hook], hook: HookT) -> HookT:
    if inspect.iscoroutinefunction(hook):
        raise TypeError("A hook is an ordinary function: nobody would await it.")
    hooks.append(hook)
    return hook


@contextmanager
def correlation(correlation_id: str | None = None) -> Iterator[str]:
    """Give all calls of this block one correlation id for the server and the logs; a new one by default.

    Calls outside of such a block have an id of their own each.
    """
    chosen = _new_id() if correlation_id is None else correlation_id
    if not _FITTING.fullmatch(chosen):
        raise ValueError("A correlation id has 1 to 128 printable ASCII characters and no spaces.")
    token = _correlation.set(chosen)
    try:
        yield chosen
    finally:
        _correlation.reset(token)


def current_correlation() -> str | None:
    """The id of the block that runs, None outside of one."""
    return _correlation.get()


def attempt_headers() -> dict[str, str]:
    """Headers for one attempt at the call that is being observed, which is counted."""
    observation = _observation.get()
    if observation is None:
        return {}
    observation.attempts += 1
    return {HEADER: observation.correlation_id}


def _new_id() -> str:
    return f"{random.getrandbits(128):032x}"  # tells calls apart, guards nothing


class Telemetry:
    """Observes calls. `slow_call` is the seconds from which one is logged as slow."""

    def __init__(self, *, slow_call: float, address: str) -> None:
        self.slow_call = slow_call
        self.hooks = Hooks()
        self.spans = Spans.found(address)

    def observed(self, carry: Callable[[Call[Any]], Any]) -> Callable[[Call[Any]], Any]:
        def run(call: Call[Any]) -> Any:
            with Observation(self, call.function):
                return carry(call)

        return run

    def observed_async(
        self, carry: Callable[[Call[Any]], Awaitable[Any]]
    ) -> Callable[[Call[Any]], Awaitable[Any]]:
        async def run(call: Call[Any]) -> Any:
            with Observation(self, call.function):
                return await carry(call)

        return run


class Observation:
    """One call, watched from its begin to its end."""

    __slots__ = ("_began", "_span", "_telemetry", "_token", "attempts", "correlation_id", "function")

    def __init__(self, telemetry: Telemetry, function: str) -> None:
        self._telemetry = telemetry
        self.function = function
        self.correlation_id = _correlation.get() or _new_id()
        self.attempts = 0
        self._span: Span | None = None

    def __enter__(self) -> None:
        telemetry = self._telemetry
        self._token: Token[Observation | None] = _observation.set(self)
        if telemetry.hooks.before_call:
            _tell(telemetry.hooks.before_call, CallReport(self.function, self.correlation_id))
        if telemetry.spans is not None:
            self._span = telemetry.spans.begin(self.function)
        self._began = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        duration = time.perf_counter() - self._began
        _observation.reset(self._token)
        if isinstance(error, ReelbaseError):
            error.correlation_id = self.correlation_id
            forget_frames(error)
        telemetry = self._telemetry
        is_slow = duration >= telemetry.slow_call
        level = logging.WARNING if is_slow else _level(error)
        hooks = telemetry.hooks
        if not (self._span or hooks.after_call or hooks.after_error or logger.isEnabledFor(level)):
            return
        report = CallReport(
            self.function, self.correlation_id, duration, max(self.attempts - 1, 0), _outcome(error), error
        )
        if logger.isEnabledFor(level):
            _log(report, level, is_slow=is_slow)
        if self._span is not None:
            # After the record, which belongs to it.
            self._span.end(report.outcome or "", report.retries, duration, error)
        if error is not None and hooks.after_error:
            _tell(hooks.after_error, report)
        if hooks.after_call:
            _tell(hooks.after_call, report)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    return (error.error if isinstance(error, CallRefused) else None) or type(error).__name__


def _level(error: BaseException | None) -> int:
    """A refusal is the caller's own matter, and is raised to him; what may pass an operator should see."""
    if error is None:
        return logging.DEBUG
    return logging.WARNING if isinstance(error, ReelbaseError) and error.transient else logging.INFO


def _log(report: CallReport, level: int, *, is_slow: bool) -> None:
    milliseconds = round((report.duration or 0.0) * 1000, 3)
    logger.log(
        level,
        "%s%s: %s after %.1f ms",
        "slow: " if is_slow else "",
        report.function,
        report.outcome,
        milliseconds,
        extra={
            "reelbase": {
                "function": report.function,
                "outcome": report.outcome,
                "duration_ms": milliseconds,
                "retries": report.retries,
                "correlation_id": report.correlation_id,
                "slow": is_slow,
            }
        },
    )


def _tell(hooks: list[Hook], report: CallReport) -> None:
    for hook in hooks:
        try:
            hook(report)
        except Exception:
            logger.exception("The hook %r failed.", hook)


def forget_frames(error: BaseException) -> None:
    """Of other libraries' errors keep what they say, not their frames: local variables there hold headers."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__
