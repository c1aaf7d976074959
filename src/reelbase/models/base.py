"""What all models share."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from enum import StrEnum
from inspect import isawaitable
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PrivateAttr


class Model(BaseModel):
    """A row or composite value as the database returned it. Unknown columns are kept aside, not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")


T_co = TypeVar("T_co", covariant=True)

Turn = Callable[[Mapping[str, Any]], Any]
"""Reads the page that these arguments lead to: the page, or an awaitable of it."""


class Listing(Model, Generic[T_co]):  # noqa: PLW1641  # pydantic gives frozen models their hash
    """A part of a list: `items`, and the way to what comes after them.

    Iterating goes through the whole list, from these items on, and reads further pages as it needs them:
    with `for` where a synchronous client read the page, with `async for` where an asynchronous one did.
    """

    items: tuple[T_co, ...]

    _turn: Turn | None = PrivateAttr(default=None)

    def onward(self) -> Mapping[str, Any] | None:
        """The arguments that lead to the next page; None where there is none."""
        raise NotImplementedError

    def turned_by(self, turn: Turn) -> Self:
        """The same page, which reads the next one so."""
        page = self.model_copy()
        page._turn = turn  # noqa: SLF001  # of the same class
        return page

    def __iter__(self) -> Iterator[T_co]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]  # a list's items, not a model's fields
        page: Listing[T_co] | None = self
        while page is not None:
            yield from page.items
            page = page._next()  # noqa: SLF001  # of the same class

    async def __aiter__(self) -> AsyncIterator[T_co]:
        page: Listing[T_co] | None = self
        while page is not None:
            for item in page.items:
                yield item
            following = page._following()  # noqa: SLF001  # of the same class
            page = await following if isawaitable(following) else following

    def _next(self) -> "Listing[T_co] | None":
        following = self._following()
        if isawaitable(following):
            getattr(following, "close", lambda: None)()
            raise TypeError(
                "This page is of an asynchronous client: use `async for`, or `.items` for it alone."
            )
        return following  # type: ignore[no-any-return]  # a Turn returns pages of its own kind

    def _following(self) -> Any:
        onward = self.onward()
        return None if onward is None or self._turn is None else self._turn(onward)

    def __eq__(self, other: object) -> bool:  # frozen models are given their hash
        # Not by how the next page is read.
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __getstate__(self) -> dict[Any, Any]:
        # What reads the next page holds connections.
        return {**super().__getstate__(), "__pydantic_private__": {"_turn": None}}


class Page(Listing[T_co], Generic[T_co]):
    """One page of a list. `next_cursor` goes into the next call's `cursor`; None on the last page."""

    next_cursor: str | None

    def onward(self) -> Mapping[str, Any] | None:
        return None if self.next_cursor is None else {"cursor": self.next_cursor}


class OpenEnum(StrEnum):
    """An enum with the database's spelling that accepts values it does not know.

    A database may be newer than this client. An unknown value becomes a member-like
    constant whose `value` is the database's text and whose name is `UNKNOWN`.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = "UNKNOWN"
        member._value_ = value
        return member


def _empty_when_null(value: Any) -> Any:
    return {} if value is None else value


JsonObject = Annotated[dict[str, Any], BeforeValidator(_empty_when_null)]
"""A jsonb object; null reads as an empty one."""
