"""An event loop in a thread of its own, for synchronous code: the realtime package is asynchronous only."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from reelbase.errors import ClientClosed
from reelbase.execution.forks import forks

T = TypeVar("T")


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
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None

    @property
    def is_here(self) -> bool:
        """Whether the present code runs in it, and so must not wait for it."""
        return self._thread is threading.current_thread()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The coroutine's result. An interrupt of the waiting thread cancels the coroutine.

        Raises ClientClosed when the loop is closed, CancelledError of concurrent.futures when that happens
        meanwhile.
        """
        try:
            loop = self._started()
        except BaseException:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the thread, cancelling what still runs in it. Harmless when done twice."""
        with self._lock:
            self.closed = True
            if self._thread is not None and self._loop is not None and self._closing is not None:
                self._loop.call_soon_threadsafe(self._closing.set)
                self._thread.join()
            self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        if self.is_here:
            raise RuntimeError("code in the background loop cannot wait for it")
        with self._lock:
            if self.closed:
                raise ClientClosed("The client is closed.", hint="Make another one.")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=asyncio.run, args=(self._serve(),), name="reelbase-events", daemon=True
                )
                self._thread.start()
                self._ready.wait()
            if self._loop is None:
                raise RuntimeError("the background loop did not start")
            return self._loop

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        await self._closing.wait()
