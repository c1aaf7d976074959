"""A Call: one use of an SQL function, as data."""

from collections.abc import Callable, Hashable, Mapping, Sized
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from reelbase.errors import UnexpectedAnswer

T = TypeVar("T")

_SHOWN_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """The function's name, its arguments and the type of its result.

    Arguments that are None are left out, so the function's own default holds.
    `reads` names what the call reads, `("job", id)`; a call with it changes nothing and may be repeated.
    `idempotent` is a call that changes something, but a second time no more: it may be repeated too.
    """

    function: str
    arguments: Mapping[str, Any]
    result: type[T]
    reads: tuple[object, ...] | None = None
    idempotent: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether carrying the call twice has the effect of carrying it once."""
        return self.reads is not None or self.idempotent

    def payload(self, unknown: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        """The arguments as JSON values; `unknown` gives one for what JSON does not know."""
        return {name: _json(value, unknown) for name, value in self.arguments.items() if value is not None}

    def parse(self, answer: Any) -> T:
        """The result from its JSON value. Raises UnexpectedAnswer when it does not fit."""
        try:
            parsed: T = _adapter(cast("Hashable", self.result)).validate_python(answer)
        except ValidationError as error:
            where = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors()[:5])
            raise UnexpectedAnswer(
                f"The answer of {self.function} is no {_name(self.result)} (see {where or 'its root'}).",
                hint="Check that the database has the migrations of this client's version.",
            ) from error
        return parsed

    def shown_arguments(self) -> dict[str, Any]:
        """The arguments for an error report: no long texts, no objects."""
        return {name: _shown(value) for name, value in self.arguments.items() if value is not None}


def _json(value: Any, unknown: Callable[[Any], Any] | None) -> Any:
    if isinstance(value, timedelta):
        # Not as ISO 8601, where a day of pydantic's and a year of Postgres's are not the same length.
        return f"{value.total_seconds():f} seconds"
    return to_jsonable_python(value, exclude_none=True, fallback=unknown)


@cache
def _adapter(result: Any) -> TypeAdapter[Any]:
    return TypeAdapter(result)


def _name(result: Any) -> str:
    return str(getattr(result, "__name__", result))


def _shown(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    if isinstance(value, Sized) and not isinstance(value, str):
        return f"<{len(value)} items>"
    text = str(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}… ({len(text)} characters)"
