"""Values that differ from run to run: <<kind>> or <<kind:name>> stands for them in a recording.

<<ts>>            a timestamp of now
<<uuid:n>>        a UUID; the same n is the same value, another n another value
<<ref:n>>         a text of the server's own, likewise
<<bid:scope|i.j>> the id of a binding; other bindings i of that scope have other ids
<<re:pattern>>    a text that the pattern is found in
<<repeat:x*n>>    n times the letter x
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

_PLACEHOLDER = re.compile(r"<<(ts|uuid|ref|bid|re|repeat)(?::(.*))?>>", re.DOTALL)
_TOKEN = re.compile(r"\{\{(\w+)\}\}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_NOW_S = 600
_LONGEST = 200


def expand(value: Any, token: Callable[[str], str]) -> Any:
    """What is sent: tokens for {{NAME}}, and long texts in full."""
    match value:
        case str() if (found := _PLACEHOLDER.fullmatch(value)) and found[1] == "repeat":
            return _repeated(found[2])
        case str():
            return _TOKEN.sub(lambda name: token(name[1]), value)
        case list():
            return [expand(item, token) for item in value]
        case dict():
            return {key: expand(item, token) for key, item in value.items()}
    return value


class Memory:
    """What the placeholders of a session have turned out to stand for."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Any] = {}

    def differences(self, expected: Any, received: Any, at: str = "") -> Iterator[str]:
        match expected, received:
            case str(), _ if found := _PLACEHOLDER.fullmatch(expected):
                if not self._stands_for(found[1], found[2], received):
                    yield f"{at}: {show(received)} cannot be {expected}{self._so_far(found[1], found[2])}"
            case dict(), dict():
                yield from self._of_objects(expected, received, at)
            case list(), list() if self._known_ids(expected) is not None:
                if sorted(self._known_ids(expected) or ()) != sorted(received):
                    yield f"{at}: expected the ids {self._known_ids(expected)}, received {show(received)}"
            case list(), list() if len(expected) == len(received):
                for index, pair in enumerate(zip(expected, received, strict=True)):
                    yield from self.differences(*pair, f"{at}[{index}]")
            # By kind, too: 10 is not 10.0, and 1 is not true.
            case _ if type(expected) is not type(received) or expected != received:
                yield f"{at}: expected {show(expected)}, received {show(received)}"

    def _of_objects(self, expected: Mapping[str, Any], received: Mapping[str, Any], at: str) -> Iterator[str]:
        keys = {self._key(key, received): key for key in expected}
        for key in sorted(keys.keys() - received.keys()):
            yield f"{at}.{key}: missing, expected {show(expected[keys[key]])}"
        for key in sorted(received.keys() - keys.keys()):
            yield f"{at}.{key}: unexpected, received {show(received[key])}"
        for key in sorted(keys.keys() & received.keys()):
            yield from self.differences(keys[key], key, f"{at}.{key} (key)")
            yield from self.differences(expected[keys[key]], received[key], f"{at}.{key}")

    def _key(self, key: str, received: Mapping[str, Any]) -> str:
        """The key that is meant: that of presence is a UUID where the client gave none."""
        found = _PLACEHOLDER.fullmatch(key)
        if not found:
            return key
        known = self._values.get((found[1], found[2]))
        return known or next(filter(_UUID.fullmatch, received), key)

    def _known_ids(self, expected: list[Any]) -> list[Any] | None:
        """The ids that a list of bindings stands for, in no order, when all of them were told before."""
        found = [_PLACEHOLDER.fullmatch(item) if isinstance(item, str) else None for item in expected]
        ids = [self._values.get((match[1], match[2])) for match in found if match and match[1] == "bid"]
        return ids if ids and len(ids) == len(expected) and None not in ids else None

    def _stands_for(self, kind: str, name: str, received: Any) -> bool:
        if kind == "re":
            return isinstance(received, str) and re.search(name, received, re.DOTALL) is not None
        if kind == "repeat":
            return bool(received == _repeated(name))
        if not _SHAPES[kind](received):
            return False
        return kind == "ts" or self._remember(kind, name, received)

    def _remember(self, kind: str, name: str, received: Any) -> bool:
        known = self._values.setdefault((kind, name), received)
        return known == received and not any(
            value == received and _must_differ(kind, name, other)
            for (other_kind, other), value in self._values.items()
            if other_kind == kind
        )

    def _so_far(self, kind: str, name: str) -> str:
        known = self._values.get((kind, name))
        return "" if known is None else f", which was {show(known)}"


def show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _must_differ(kind: str, name: str, other: str) -> bool:
    if kind != "bid":
        return name != other
    scope, _, place = name.rpartition("|")
    other_scope, _, other_place = other.rpartition("|")
    return scope == other_scope and place.split(".")[0] != other_place.split(".")[0]


def _repeated(notation: str) -> str:
    letter, _, times = notation.rpartition("*")
    return letter * int(times)


def _is_now(received: Any) -> bool:
    if not isinstance(received, str) or not _TIMESTAMP.fullmatch(received):
        return False
    return abs(datetime.fromisoformat(received).timestamp() - time.time()) < _NOW_S


_SHAPES: Mapping[str, Callable[[Any], bool]] = {
    "ts": _is_now,
    "uuid": lambda value: isinstance(value, str) and _UUID.fullmatch(value) is not None,
    "ref": lambda value: isinstance(value, str) and value != "",
    "bid": lambda value: isinstance(value, (int, str)) and not isinstance(value, bool),
}
