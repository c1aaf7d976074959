"""What asyncio does not say about tasks itself."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def is_cancelled() -> bool:
    """Whether the running task itself is being cancelled, not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class Kept(Generic[T]):
    """Work that goes on when waiting for it is cancelled: the next wait takes it up, or finds it done.

    Else who waits shortly and often would begin it anew each time, and never see its end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[T] | None = None

    async def result(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What the work returns, or raises. It is begun unless it is under way."""
        if self._task is None:
            self._task = asyncio.create_task(work(), name=self._name)
        task = self._task
        if not task.done():
            await asyncio.wait({task})
        if self._task is task:
            self._task = None
        return task.result()

    async def aclose(self) -> None:
        """Cancel what is under way; whoever waits for it gets a CancelledError."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
