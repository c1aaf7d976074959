"""Which argument Postgres could not read: it quotes the value, and tells no name.

PostgREST turns JSON into the types of a function's arguments before the function runs. A value that is
none of its type is refused there, as `invalid input syntax for type integer: "abc"`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from reelbase.errors import Answer

# Not a number, UUID, address or enum value; too large a number; not a time, or one that does not exist.
_UNREADABLE = {"22P02", "22003", "22007", "22008", "22015"}
_QUOTED = re.compile(r'(?:: |^value )"(?P<value>.*)"', re.DOTALL)
_KEY = re.compile(r'key "(?P<name>\w+)"')


def at_fault(payload: Mapping[str, Any], answer: Answer) -> list[str]:
    """The arguments whose value the answer quotes; an item of a list as `status[0]`."""
    if answer.sqlstate not in _UNREADABLE:
        return []
    if (key := _KEY.search(answer.hint or "")) is not None:
        return [key["name"]]
    quoted = _QUOTED.search(answer.message)
    return [] if quoted is None else [name for name, text in _values(payload) if text == quoted["value"]]


def _values(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in payload.items():
        yield name, _text(value)
        if isinstance(value, list):
            yield from ((f"{name}[{place}]", _text(item)) for place, item in enumerate(value))


def _text(value: Any) -> str:
    """A JSON value as Postgres reads it: a string without its quotes."""
    return value if isinstance(value, str) else json.dumps(value)
