"""Makes the tokens of the recording from a case's `role`, the same ones in each run."""

import json
from dataclasses import dataclass, field
from typing import Any

import jwt

_ISSUED = {"iss": "golden", "iat": 1700000000}
_EXPIRES = {"exp": 4070908800}  # 2099-01-01
_EXPIRED = {"exp": 1700003600}
_USER = {"aud": "authenticated", "role": "authenticated"}
_OTHER_SECRET = "another-secret-that-is-also-32-characters-long!"
_UNREADABLE = {"malformed": "only.two-parts", "garbage": "not-base64.not-base64.not-base64"}
# With these the gateway lets a request pass.
_GOOD = ("anon", "service_role", "authenticated")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs with the secret of the stack."""

    secret: str = field(repr=False)

    def headers(self, role: str) -> dict[str, str]:
        """What a client of that role sends to get in."""
        kind, _, argument = role.partition(":")
        authorization = self._authorization(kind, argument)
        apikey = authorization.removeprefix("Bearer ") if kind in _GOOD else self._token("anon")
        return {"apikey": apikey, **({"Authorization": authorization} if authorization else {})}

    def _authorization(self, kind: str, argument: str) -> str:
        if kind == "none":
            return ""
        if kind == "header":
            return argument.replace("{service_role}", self._token("service_role"))
        return f"Bearer {self._token(kind, argument)}"

    def _token(self, kind: str, argument: str = "") -> str:
        if kind in _UNREADABLE:
            return _UNREADABLE[kind]
        secret = _OTHER_SECRET if kind == "badsig" else self.secret
        return jwt.encode(_claims(kind, argument), secret, "HS512" if kind == "hs512" else "HS256")


def _claims(kind: str, argument: str) -> dict[str, Any]:
    match kind:
        case "claims":
            return {**_EXPIRES, **json.loads(argument)}
        case "anon" | "service_role":
            own: dict[str, Any] = {"role": kind}
        case "authenticated":
            own = _USER | json.loads(argument or "{}")
        case "badsig":
            own = dict(_USER)
        case "expired":
            own = _USER | _EXPIRED
        case "hs512":
            own = {"role": "service_role"}
        case "unknown_role":
            own = {"role": "no_such_role"}
        case _:
            raise ValueError(f"no such kind of token: {kind}")
    return {**_ISSUED, **_EXPIRES, **own}
