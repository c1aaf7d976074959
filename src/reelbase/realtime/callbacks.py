"""Calling functions that users gave us: plain ones and coroutine functions, in the loop or beside it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from inspect import isawaitable, iscoroutinefunction
from queue import SimpleQueue
from threading import Thread
from typing import Any, ParamSpec, TypeVar

from reelbase.realtime.tasks import is_cancelled

P = ParamSpec("P")
T = TypeVar("T")

Callback = Callable[..., object]
ENDS_PROGRAM = (KeyboardInterrupt, SystemExit)
"""What asyncio passes on to whoever runs the loop."""
Outcome = tuple[Any, BaseException | None]


class _Calling:
    """One call of a function, in the subscription's task or in a thread for it."""

    def __init__(self, task: "asyncio.Task[Any] | None") -> None:
        self.task = task
        self.in_thread = False
        self.is_over = False


_calling: ContextVar[_Calling | None] = ContextVar("reelbase_calling", default=None)
"""The call that the present code is part of, or that has begun the present task."""


def inside_callback() -> bool:
    """Whether the present code was called by a subscription: it cannot wait for what waits for it."""
    call = _running_call()
    return call is not None and (call.in_thread or call.task is asyncio.current_task())


def task_of_callback() -> "asyncio.Task[Any] | None":
    """The task of the subscription whose callback has begun the present task, and may wait for it."""
    call = _running_call()
    return None if call is None else call.task


def _running_call() -> _Calling | None:
    call = _calling.get()
    return None if call is None or call.is_over else call


class Caller:
    """Calls functions in the loop, and awaits what they return if it is to be awaited."""

    passes_on: tuple[type[BaseException], ...] = (*ENDS_PROGRAM, GeneratorExit)
    """What goes on to the loop, which is the user's own."""

    async def call(self, function: Callback, *arguments: Any) -> None:
        """Raises what the function raises, as an Exception unless it is for the loop, or the running task is
        cancelled."""
        calling = _Calling(asyncio.current_task())
        _calling.set(calling)
        try:
            await self._call(function, arguments, calling)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            raise RuntimeError("the callback waited for something that was cancelled") from error
        except BaseException as error:
            if isinstance(error, (Exception, *self.passes_on)):
                raise
            raise _contained(error) from error
        finally:
            calling.is_over = True

    async def _call(self, function: Callback, arguments: tuple[Any, ...], calling: _Calling) -> None:
        await _awaited(function(*arguments))

    def close(self) -> None:
        """Let go of what calls need; a call that runs is left to its end."""


class ThreadCaller(Caller):
    """Calls plain functions in a thread of its own, one after the other; coroutine functions in the loop."""

    # It is the client's own loop, which others use too.
    passes_on = (GeneratorExit,)

    def __init__(self) -> None:
        self._calls: SimpleQueue[_Call | None] | None = None

    async def _call(self, function: Callback, arguments: tuple[Any, ...], calling: _Calling) -> None:
        if iscoroutinefunction(function):
            await _awaited(function(*arguments))
            return
        if self._calls is None:
            self._calls = _begun()
        call = _Call(copy_context(), function, arguments)
        calling.in_thread = True
        self._calls.put(call)
        result, error = await asyncio.wrap_future(call.outcome)
        calling.in_thread = False
        if isinstance(error, Exception):
            raise error
        if error is not None:
            raise _contained(error) from error
        await _awaited(result)

    def close(self) -> None:
        if self._calls is not None:
            self._calls.put(None)


@dataclass(frozen=True, slots=True)
class _Call:
    context: Context
    function: Callback
    arguments: tuple[Any, ...]
    outcome: "Future[Outcome]" = field(default_factory=Future)

    def make(self) -> None:
        if self.outcome.set_running_or_notify_cancel():
            self.outcome.set_result(self.context.run(_outcome, self.function, self.arguments))


def _begun() -> "SimpleQueue[_Call | None]":
    """Where a new thread takes its calls from, until None. A function that never returns should not keep the
    interpreter from its end, so it is no thread of an executor."""
    calls: SimpleQueue[_Call | None] = SimpleQueue()
    Thread(target=_make, args=(calls,), name="reelbase-callback", daemon=True).start()
    return calls


def _make(calls: "SimpleQueue[_Call | None]") -> None:
    while (call := calls.get()) is not None:
        call.make()


def _outcome(function: Callback, arguments: tuple[Any, ...]) -> Outcome:
    """What the function returned, or raised: as a value, because no future takes a StopIteration."""
    try:
        return function(*arguments), None
    except BaseException as error:  # noqa: BLE001  # raised again in the loop
        return None, error


async def _awaited(result: Any) -> None:
    if isawaitable(result):
        await result


def contained(function: Callable[P, T]) -> Callable[P, T]:
    """The function, for the client's own loop: whatever it raises is an Exception."""

    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Exception:
            raise
        except BaseException as error:
            raise _contained(error) from error

    return call


def _contained(error: BaseException) -> RuntimeError:
    """For what should end neither a loop nor a thread that others use too."""
    return RuntimeError(f"the callback raised {type(error).__name__}")
