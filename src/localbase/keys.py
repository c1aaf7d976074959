"""The keys of a local project: the well-known ones of `supabase start`, or those of another JWT secret."""

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Self

from localbase.errors import LocalbaseError
from localbase.tokens import Claims, sign, verify

SECRET_VARIABLE = "LOCALBASE_JWT_SECRET"  # noqa: S105  the name of a variable, not its value
MINIMUM_SECRET_LENGTH = 32

# Every `supabase start` in the world uses these; they protect nothing but a loopback port.
_WELL_KNOWN_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"  # noqa: S105
_WELL_KNOWN_PUBLISHABLE = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"
_WELL_KNOWN_SECRET_KEY = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz"  # noqa: S105
_EXPIRES = 1983812996


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """A JWT secret and the four API keys that go with it. The repr shows none of them."""

    jwt_secret: str
    anon_key: str
    service_role_key: str
    publishable_key: str
    secret_key: str

    @classmethod
    def local(cls, jwt_secret: str | None = None) -> Self:
        """Keys of `jwt_secret`, else of $LOCALBASE_JWT_SECRET, else the well-known ones."""
        secret = jwt_secret or os.environ.get(SECRET_VARIABLE) or _WELL_KNOWN_SECRET
        if len(secret) < MINIMUM_SECRET_LENGTH:
            raise LocalbaseError(
                f"The JWT secret has {len(secret)} characters, at least {MINIMUM_SECRET_LENGTH} are needed.",
                f"Set a longer one in {SECRET_VARIABLE}, or unset it for the well-known local secret.",
            )
        known = secret == _WELL_KNOWN_SECRET
        return cls(
            jwt_secret=secret,
            anon_key=_role_token("anon", secret),
            service_role_key=_role_token("service_role", secret),
            publishable_key=_WELL_KNOWN_PUBLISHABLE if known else _opaque("sb_publishable", secret),
            secret_key=_WELL_KNOWN_SECRET_KEY if known else _opaque("sb_secret", secret),
        )

    def __repr__(self) -> str:
        return "Keys(…)"

    def as_token(self, apikey: str) -> str:
        """The JWT an API key stands for: that of its role for an opaque key, else the key itself."""
        if hmac.compare_digest(apikey.encode(), self.publishable_key.encode()):
            return self.anon_key
        if hmac.compare_digest(apikey.encode(), self.secret_key.encode()):
            return self.service_role_key
        return apikey

    def claims(self, token: str) -> Claims:
        """The verified claims of a JWT or of an opaque key. Raises InvalidTokenError."""
        return verify(self.as_token(token), self.jwt_secret)


def _role_token(role: str, secret: str) -> str:
    return sign({"iss": "supabase-demo", "role": role, "exp": _EXPIRES}, secret)


def _opaque(prefix: str, secret: str) -> str:
    body = _url_safe(hmac.digest(secret.encode(), prefix.encode(), "sha256"))[:22]
    checksum = _url_safe(hashlib.sha256(f"{prefix}_{body}".encode()).digest())[:8]
    return f"{prefix}_{body}_{checksum}"


def _url_safe(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
