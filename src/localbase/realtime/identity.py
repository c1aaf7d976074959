"""Who a token speaks for, and the words in which Realtime refuses one.

Realtime grants no leeway on `exp` and reports other codes than the Data API, so it reads tokens itself.
"""

import json
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from localbase.keys import Keys


@dataclass(frozen=True, slots=True)
class Identity:
    """`claims` is the JSON text that policies read as request.jwt.claims."""

    role: str
    claims: str
    expires: float

    def expired(self, now: float) -> "TokenError | None":
        return TokenError.expired(now - self.expires) if self.expires <= now else None


class TokenError(Exception):
    """A refused token: `code` and `reason` for a join, `refresh_reason` for an access_token push."""

    def __init__(self, code: str, reason: str, refresh_reason: str | None = None) -> None:
        super().__init__(f"{code}: {reason}")
        self.reason = reason
        self.refresh_reason = refresh_reason or reason

    @classmethod
    def expired(cls, seconds: float) -> "TokenError":
        return cls("InvalidJWTToken", f"Token has expired {int(seconds)} seconds ago")


def identify(keys: Keys, token: str, now: float) -> Identity:
    """The identity of a JWT or an opaque API key. Raises TokenError."""
    claims = _claims(keys, keys.as_token(token))
    role, expires = claims.get("role"), claims.get("exp")
    if not isinstance(role, str) or not isinstance(expires, int | float):
        raise TokenError("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")
    identity = Identity(role, json.dumps(claims), float(expires))
    if error := identity.expired(now):
        raise error
    return identity


# The audience is not checked, and times are, but against the caller's clock and with Realtime's own words.
_SIGNATURE_ONLY: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_sub": False,
}


def _claims(keys: Keys, token: str) -> dict[str, Any]:
    try:
        return jwt.decode(token, keys.jwt_secret, algorithms=["HS256"], options=_SIGNATURE_ONLY)
    except jwt.InvalidSignatureError as error:
        raise TokenError(
            "JwtSignatureError", "Failed to validate JWT signature", ":signature_error"
        ) from error
    except jwt.PyJWTError as error:
        raise TokenError("MalformedJWT", "The token provided is not a valid JWT") from error
