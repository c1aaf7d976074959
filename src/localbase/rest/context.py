"""What a request brings along into the database: its role, claims, headers, cookies, method and path."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localbase.rest.catalog import Catalog
from localbase.rest.request import RestRequest
from localbase.tokens import Claims

ANONYMOUS = "anon"


@dataclass(frozen=True, slots=True)
class Context:
    """Settings for one transaction, in the order in which they are made."""

    role: str
    settings: Mapping[str, str]

    @property
    def anonymous(self) -> bool:
        return self.role == ANONYMOUS


def request_context(
    request: RestRequest, claims: Claims, catalog: Catalog, search_path: Sequence[str]
) -> Context:
    role = role_of(claims)
    return Context(
        role,
        {
            "search_path": ", ".join(_quoted(schema) for schema in search_path),
            **catalog.roles.get(role, {}),
            "role": role,
            "request.jwt.claims": _compact({**claims, "role": claims.get("role", role)}),
            "request.method": request.method,
            "request.path": request.path,
            "request.headers": _compact(_headers(request)),
            "request.cookies": _compact(dict(request.cookies)),
        },
    )


def role_of(claims: Claims) -> str:
    """The role a token names, as text whatever it is."""
    role = claims.get("role", ANONYMOUS)
    return role if isinstance(role, str) else _compact(role)


def _headers(request: RestRequest) -> Mapping[str, str]:
    return {name.lower(): value for name, value in request.headers.items() if name.lower() != "cookie"}


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
