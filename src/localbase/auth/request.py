"""A request to the Auth service, free of sockets, and the fields of its body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, TypeVar
from uuid import UUID

from multidict import CIMultiDict

from localbase.auth.errors import bad_json

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """`path` is the part of the URL after /auth/v1. Headers, query and body are kept out of the repr."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict, repr=False)
    body: bytes = field(default=b"", repr=False)
    remote: str | None = None

    def fields(self) -> "Fields":
        """Of the JSON object that is the body. Raises AuthError."""
        return Fields(_parse(self.body))

    def parameter(self, name: str) -> str:
        """Of the query; an absent one is empty."""
        return _readable(self.query.get(name, ""))

    def agent(self) -> str | None:
        """What the caller says it runs on."""
        return _readable(self.headers.get("User-Agent", "")) or None

    def address(self) -> str | None:
        """The caller's, where it is one that Postgres can keep."""
        try:
            return str(ip_address((self.remote or "").partition("%")[0]))
        except ValueError:
            return None


class Fields:
    """Typed access to a JSON object. Null is the same as absent; another type raises AuthError."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str) -> str:
        """An absent text is an empty one."""
        return self.optional_text(name) or ""

    def optional_text(self, name: str) -> str | None:
        return self._of_type(name, str)

    def flag(self, name: str) -> bool:
        return bool(self._of_type(name, bool))

    def mapping(self, name: str) -> dict[str, Any] | None:
        return self._of_type(name, dict)

    def _of_type(self, name: str, wanted: type[T]) -> T | None:
        value = self._values.get(name)
        if value is None or isinstance(value, wanted):
            return value
        raise bad_json(f"{name} has the wrong type")


def parse_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _readable(text: str) -> str:
    """Bytes that are no UTF-8 become question marks: Postgres would not take them."""
    return text.encode("utf-8", "replace").decode()


def _parse(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
        # Half a surrogate pair is no text: Postgres would not take it.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "unexpected end of JSON input" if not body.strip() else "invalid JSON"
        raise bad_json(reason) from error
    if not isinstance(value, dict):
        raise bad_json("an object is needed")
    return value
