"""What all models share."""

from enum import StrEnum
from typing import Annotated, Any, Generic, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict


class Model(BaseModel):
    """A row or composite value as the database returned it. Unknown columns are kept aside, not refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")


T = TypeVar("T")


class Page(Model, Generic[T]):
    """One page of a list. `next_cursor` goes into the next call's `cursor`; None on the last page."""

    items: tuple[T, ...]
    next_cursor: str | None


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
