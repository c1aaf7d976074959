"""Calling functions that users gave us: plain ones and coroutine functions, in the loop or beside it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from inspect import isawaitable, iscoroutinefunction
from typing import Any

Callback = Callable[..., object]

inside_callback: ContextVar[bool] = ContextVar("reelbase_inside_callback", default=False)
"""Whether the present code was called by a subscription: it cannot wait for what waits for it."""


class Caller:
    """Calls functions in the loop, and awaits what they return if it is to be awaited."""

    async def call(self, function: Callback, *arguments: Any) -> None:
        """Raises what the function raises, always as an Exception unless the running task is cancelled."""
        inside_callback.set(True)
        try:
            await self._call(function, arguments)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            raise RuntimeError("the callback waited for something that was cancelled") from error

    async def _call(self, function: Callback, arguments: tuple[Any, ...]) -> None:
        await _awaited(function(*arguments))

    def close(self) -> None:
        """Let go of what calls need; a call that runs is left to its end."""


class ThreadCaller(Caller):
    """Calls plain functions in a thread of its own, one after the other; coroutine functions in the loop."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None

    async def _call(self, function: Callback, arguments: tuple[Any, ...]) -> None:
        if iscoroutinefunction(function):
            await _awaited(function(*arguments))
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="reelbase-callback")
        context, loop = copy_context(), asyncio.get_running_loop()
        result, error = await loop.run_in_executor(
            self._thread, lambda: context.run(_outcome, function, arguments)
        )
        if isinstance(error, Exception):
            raise error
        if error is not None:
            # It should end neither the loop nor its thread, which others use too.
            raise RuntimeError(f"the callback raised {type(error).__name__}") from error
        await _awaited(result)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(wait=False)


def _outcome(function: Callback, arguments: tuple[Any, ...]) -> tuple[Any, BaseException | None]:
    """What the function returned, or raised: as a value, because no future takes a StopIteration."""
    try:
        return function(*arguments), None
    except BaseException as error:  # noqa: BLE001  # raised again in the loop
        return None, error


async def _awaited(result: Any) -> None:
    if isawaitable(result):
        await result


def _is_cancelled() -> bool:
    """Whether the running task itself is being cancelled, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
