"""A request to the Data API, free of sockets."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from multidict import CIMultiDict

READING = frozenset({"GET", "HEAD"})
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS = READING | WRITING | {"OPTIONS"}
_BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class RestRequest:
    """`path` is the part of the URL after /rest/v1, `query` what follows the question mark, as sent."""

    method: str
    path: str
    query: str = ""
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def reading(self) -> bool:
        return self.method in READING

    def header(self, name: str, default: str = "") -> str:
        return self.headers.get(name, default)

    def token(self) -> str | None:
        """The bearer token; any other kind of authorization counts as none."""
        sent = self.header("Authorization")
        if sent.lower().startswith(_BEARER):
            return sent[len(_BEARER) :].strip()
        return None
