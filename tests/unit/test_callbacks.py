"""Calling what users gave: of every kind, and whatever it raises."""

import asyncio
import functools
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from reelbase.realtime.callbacks import Caller, ThreadCaller, inside_callback, task_of_callback


@pytest.fixture(params=[Caller, ThreadCaller])
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    made: Caller = request.param()
    yield made
    made.close()


class Kinds:
    """Every kind of function, each of which notes where it ran."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, bool]] = []

    def note(self, value: Any) -> None:
        assert inside_callback()
        self.seen.append((value, threading.current_thread() is threading.main_thread()))

    async def coroutine(self, value: Any) -> None:
        await asyncio.sleep(0)
        self.note(value)

    async def __call__(self, value: Any) -> None:
        await self.coroutine(value)


async def test_call__takes_every_kind_of_function(caller: Caller) -> None:
    kinds = Kinds()

    await caller.call(kinds.note, 1)
    await caller.call(kinds.coroutine, 2)
    await caller.call(functools.partial(kinds.coroutine, 3))
    await caller.call(kinds, 4)
    await caller.call(lambda: kinds.coroutine(5))

    in_loop = not isinstance(caller, ThreadCaller)
    assert kinds.seen == [(1, in_loop), (2, True), (3, True), (4, True), (5, True)]


@pytest.mark.parametrize("error", [ValueError("no"), StopIteration(), TimeoutError()])
async def test_call__raises_what_the_function_raises(caller: Caller, error: Exception) -> None:
    def fail() -> None:
        raise error

    async def fail_later() -> None:
        await asyncio.sleep(0)
        raise error

    for function in (fail, fail_later):
        async with asyncio.timeout(5):
            with pytest.raises(Exception) as caught:  # noqa: PT011  # compared below
                await caller.call(function)
        # Python makes another error of a StopIteration that leaves a coroutine.
        assert error in {caught.value, caught.value.__cause__}


async def test_task_of_a_callback__is_not_inside_of_it(caller: Caller) -> None:
    """Whoever waits in it waits for others, if not for the callback while that may wait for it."""
    found: list[object] = []
    over = asyncio.Event()

    async def note() -> None:
        found.extend([inside_callback(), task_of_callback() is calling])
        await over.wait()
        found.extend([inside_callback(), task_of_callback()])

    async def begin() -> None:
        tasks.append(asyncio.create_task(note()))
        await asyncio.sleep(0)
        assert inside_callback()

    tasks: list[asyncio.Task[None]] = []
    calling = asyncio.current_task()
    await caller.call(begin)
    over.set()
    await tasks[0]

    assert found == [False, True, False, None]
    assert not inside_callback()


async def test_call__that_was_cancelled_from_within_fails_like_any_other(caller: Caller) -> None:
    async def wait_for_the_cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(10))
        task.cancel()
        await task

    with pytest.raises(RuntimeError, match="was cancelled"):
        await caller.call(wait_for_the_cancelled)


async def test_call__is_cancelled_with_its_task(caller: Caller) -> None:
    entered = asyncio.Event()

    async def wait() -> None:
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(caller.call(wait))
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_exit_in_a_thread__ends_only_the_call() -> None:
    caller = ThreadCaller()

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(RuntimeError, match="SystemExit"):
        await caller.call(leave)
    caller.close()


class Odd(BaseException):
    """What hardly anybody catches."""


@pytest.mark.parametrize("error", [Odd, asyncio.CancelledError])
async def test_call__raises_an_exception_whatever_the_function_raises(
    caller: Caller, error: type[BaseException]
) -> None:
    async def fail() -> None:
        raise error

    def fail_at_once() -> None:
        raise error

    for function in (fail, fail_at_once):
        with pytest.raises(RuntimeError) as caught:
            await caller.call(function)
        assert type(caught.value.__cause__) is error


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
async def test_exit__ends_a_loop_of_the_users_own_and_none_of_ours(error: type[BaseException]) -> None:
    async def leave() -> None:
        raise error

    with pytest.raises(RuntimeError, match=error.__name__):
        await ThreadCaller().call(leave)
    with pytest.raises(error):
        await Caller().call(leave)


NEVER_RETURNING = """
import asyncio, threading
from reelbase.realtime.callbacks import ThreadCaller

async def main():
    caller = ThreadCaller()
    calling = asyncio.create_task(caller.call(threading.Event().wait))
    await asyncio.wait({calling}, timeout=0.1)
    caller.close()

asyncio.run(main())
"""


def test_function_that_never_returns__does_not_keep_the_interpreter_from_its_end() -> None:
    subprocess.run([sys.executable, "-c", NEVER_RETURNING], check=True, timeout=30)
