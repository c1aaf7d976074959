"""Lists in pages: reading the next page when an iteration needs it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Mapping
from dataclasses import replace
from inspect import isawaitable
from typing import Any, TypeVar

from reelbase.execution.call import Call
from reelbase.models.base import Listing, Turn

T = TypeVar("T")
L = TypeVar("L", bound=Listing[Any])
L_co = TypeVar("L_co", bound=Listing[Any], covariant=True)


class AsyncListing(Coroutine[Any, Any, L_co]):
    """A list that is not read yet: awaited it is one page, with `async for` all items of all pages."""

    def __init__(self, page: Awaitable[L_co], turn: Turn) -> None:
        self._page = page
        self._turn = turn
        self._steps: Generator[Any, Any, L_co] | None = None

    def __await__(self) -> Generator[Any, Any, L_co]:
        page = yield from self._page.__await__()
        return page.turned_by(self._turn)

    async def __aiter__(self: "AsyncListing[Listing[T]]") -> AsyncIterator[T]:
        async for item in await self:
            yield item

    def send(self, value: Any) -> Any:
        return self._started().send(value)

    def throw(self, *error: Any) -> Any:
        return self._started().throw(*error)

    def close(self) -> None:
        if self._steps is not None:
            self._steps.close()
        getattr(self._page, "close", lambda: None)()

    def _started(self) -> Generator[Any, Any, L_co]:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps


def paged(call: Call[L], carry: Callable[[Call[L]], Any]) -> Any:
    """Carry a call for a page; what carries it brings the pages after it too."""

    def turn(onward: Mapping[str, Any]) -> Any:
        return paged(replace(call, arguments={**call.arguments, **onward}), carry)

    page = carry(call)
    if isinstance(page, Listing):
        return page.turned_by(turn)
    if isawaitable(page):
        return AsyncListing(page, turn)
    return page  # of a batch, which has no pages yet
