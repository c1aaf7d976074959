"""An event loop in a thread of its own, for synchronous code: the realtime package is asynchronous only."""

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Generic, TypeVar

from reelbase.errors import ClientClosed
from reelbase.execution.forks import forks
from reelbase.execution.transport import closed_before

T = TypeVar("T")

logger = logging.getLogger(__name__)


class BackgroundLoop:
    """Runs coroutines for other threads. The thread begins with the first one; `close` ends it."""

    def __init__(self) -> None:
        self.closed = False
        self._begin()
        forks.register(self)

    def leave_parent(self) -> object:
        loop = self._loop
        self._begin()
        return loop

    def _begin(self) -> None:
        # A signal handler may use the client in the midst of what its thread does with it.
        self._lock = threading.RLock()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None

    @property
    def is_here(self) -> bool:
        """Whether the present code runs in it, and so must not wait for it."""
        return self._thread is threading.current_thread()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result. An interrupt of the waiting thread cancels it, unless it is done.

        Raises ClientClosed when the loop is closed, CancelledError of concurrent.futures when that happens
        meanwhile.
        """
        if self.is_here:
            work.close()
            raise RuntimeError("code in the background loop cannot wait for it")
        errand = _Errand(work)
        try:
            # Both under the lock: a loop that has been closed begins nothing.
            with self._lock:
                self._started().call_soon_threadsafe(errand.begin)
            return errand.result()
        except BaseException:
            self._call_off(errand)
            raise

    def close(self) -> None:
        """End the thread, cancelling what still runs in it. Harmless when done twice."""
        with self._lock:
            self.closed = True
            if self._thread is not None and self._loop is not None and self._closing is not None:
                self._loop.call_soon_threadsafe(self._closing.set)
                self._thread.join()
            self._thread = None

    def forget(self) -> None:
        """End the thread, if there is one, and do not wait for it: whoever collects garbage may be in it."""
        if self._loop is None or self._closing is None:
            return
        self.closed = True
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._closing.set)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self.closed:
            raise closed_before()
        if self._thread is None:
            self._thread = threading.Thread(target=self._live, name="reelbase-events", daemon=True)
            self._thread.start()
            self._ready.wait()
        if self._loop is None:
            raise RuntimeError("the background loop did not start")
        return self._loop

    def _call_off(self, errand: "_Errand[Any]") -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            errand.cancel()
            return
        with suppress(RuntimeError):  # closed meanwhile: everything in it has been cancelled
            loop.call_soon_threadsafe(errand.cancel)

    def _live(self) -> None:
        with asyncio.Runner() as runner:
            serving = runner.get_loop().create_task(self._serve())
            while not serving.done():
                try:
                    runner.get_loop().run_until_complete(serving)
                except (KeyboardInterrupt, SystemExit):
                    # Of a task that a callback has begun: nothing to end the loop for, which others use too.
                    logger.exception("A task in the background loop raised what would end a program.")

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._closing.wait()


def until_closed() -> suppress:
    """For what may come too late: another thread may close the client at any time, and so all in it."""
    return suppress(ClientClosed, CancelledError)


class _Errand(Generic[T]):
    """A coroutine that the loop runs for another thread.

    The other thread touches a plain lock only. In the condition of a Future, an interrupt may leave the lock
    taken, and the loop would wait for it for ever.
    """

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._running = threading.Lock()
        self._running.acquire()

    def begin(self) -> None:
        """In the loop."""
        self._task = asyncio.ensure_future(self._work)
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        """In the loop, if there is one."""
        if self._task is None:
            self._work.close()
        else:
            self._task.cancel()

    def result(self) -> T:
        """In the other thread: wait for it."""
        self._running.acquire()
        assert self._task is not None  # noqa: S101  # it has ended
        if self._task.cancelled():
            raise CancelledError
        return self._task.result()

    def _end(self, task: "asyncio.Task[T]") -> None:
        if not task.cancelled():
            task.exception()  # looked at: after an interrupt nobody else does
        self._running.release()
