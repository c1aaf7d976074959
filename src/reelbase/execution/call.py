"""A Call: one use of an SQL function, as data."""

import json
from collections.abc import Callable, Hashable, Mapping, Sized
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json, to_jsonable_python

from reelbase.errors import Answer, InvalidArgument, UnexpectedAnswer

T = TypeVar("T")

_SHOWN_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """The function's name, its arguments and the type of its result.

    Arguments that are None are left out, so the function's own default holds.
    `reads` names what the call reads, `("job", id)`; a call with it changes nothing and may be repeated.
    `idempotent` is a call that changes something, but a second time no more: it may be repeated too.
    `timeout` is seconds for everything, repeats included; the client's own unless given.
    `changes` names, as `reads` does, what a cache must forget; jobs that the result tells of need no naming.
    """

    function: str
    arguments: Mapping[str, Any]
    result: type[T]
    reads: tuple[object, ...] | None = None
    idempotent: bool = False
    timeout: float | None = field(default=None, compare=False)
    changes: tuple[tuple[object, ...], ...] = ()

    @property
    def repeatable(self) -> bool:
        """Whether carrying the call twice has the effect of carrying it once."""
        return self.reads is not None or self.idempotent

    def payload(self, unknown: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        """The arguments as JSON values; `unknown` gives one for what JSON does not know.

        Raises InvalidArgument for a time without a time zone.
        """
        return {name: _json(value, unknown) for name, value in self._given().items()}

    def body(self) -> bytes:
        """The arguments as a JSON object. Raises InvalidArgument when one is no JSON, or no certain time."""
        given = {name: _plain(value) for name, value in self._given().items()}
        try:
            body = to_json(given, exclude_none=True)
            if b"NaN" in body or b"Infinity" in body:
                # In a text, or as what Python calls a number and JSON does not.
                json.dumps(to_jsonable_python(given, exclude_none=True), allow_nan=False)
        except (ValueError, RecursionError) as error:
            raise InvalidArgument(Answer(f"An argument cannot be sent as JSON ({error}).")) from error
        return body

    def _given(self) -> dict[str, Any]:
        given = {name: value for name, value in self.arguments.items() if value is not None}
        naive = [name for name, at in given.items() if isinstance(at, datetime) and at.tzinfo is None]
        if naive:
            # Sent without one, it would be taken as UTC, which is seldom what was meant.
            problems = [{"argument": name, "problem": "must have a time zone"} for name in naive]
            raise InvalidArgument(
                Answer(
                    f"{', '.join(naive)} must have a time zone.",
                    error="invalid_argument",
                    hint="Give datetime.now(UTC), or add one with .astimezone().",
                    details={"problems": problems},
                )
            )
        return given

    def parse(self, answer: Any) -> T:
        """The result from its JSON value. Raises UnexpectedAnswer when it does not fit."""
        try:
            parsed: T = _adapter(cast("Hashable", self.result)).validate_python(answer)
        except ValidationError as error:
            raise self._misfit(error) from error
        return parsed

    def parse_json(self, answer: bytes) -> T:
        """The result from JSON text. Raises UnexpectedAnswer when it does not fit, or is no JSON."""
        try:
            parsed: T = _adapter(cast("Hashable", self.result)).validate_json(answer)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            if problem["type"] != "json_invalid":
                raise self._misfit(error) from error
            raise UnexpectedAnswer(
                f"The server's answer cannot be read ({problem['msg']}).", hint="Check SUPABASE_URL."
            ) from error
        return parsed

    def _misfit(self, error: ValidationError) -> UnexpectedAnswer:
        where = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors()[:5])
        return UnexpectedAnswer(
            f"The answer of {self.function} is no {_name(self.result)} (see {where or 'its root'}).",
            hint="Check that the database has the migrations of this client's version.",
        )

    def pack(self, result: T) -> bytes:
        """A result as JSON, for `unpack`. Raises ValueError when it cannot be written exactly."""
        return _adapter(cast("Hashable", self.result)).dump_json(result, warnings="error")

    def unpack(self, packed: bytes) -> T:
        """The result again. Raises ValueError when it does not fit."""
        unpacked: T = _adapter(cast("Hashable", self.result)).validate_json(packed)
        return unpacked

    def shape(self) -> str:
        """What results look like, the same in every process of one version."""
        return _shape(cast("Hashable", self.result))

    def shown_arguments(self) -> dict[str, Any]:
        """The arguments for an error report: no long texts, no objects."""
        return {name: _shown(value) for name, value in self.arguments.items() if value is not None}


def _json(value: Any, unknown: Callable[[Any], Any] | None) -> Any:
    return to_jsonable_python(_plain(value), exclude_none=True, fallback=unknown)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        # Not as ISO 8601, where a day of pydantic's and a year of Postgres's are not the same length.
        return f"{value.total_seconds():f} seconds"
    return value


@cache
def _adapter(result: Any) -> TypeAdapter[Any]:
    return TypeAdapter(result)


@cache
def _shape(result: Any) -> str:
    return json.dumps(_adapter(result).json_schema(), sort_keys=True)


def _name(result: Any) -> str:
    return str(getattr(result, "__name__", result))


def _shown(value: Any) -> Any:
    if isinstance(value, int | float):
        return value
    if isinstance(value, Sized) and not isinstance(value, str):
        return f"<{len(value)} items>"
    text = str(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}… ({len(text)} characters)"
