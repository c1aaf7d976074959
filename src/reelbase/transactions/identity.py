"""Who a transaction speaks for: the role and claims that the Data API would give the client's key or token.

The database believes what a session says of itself, so a token's claims must be proven before they go there.
Whoever checks tokens for the Data API is asked: the Data API itself. Its answer covers every kind of key and
token, whatever signs them, and what it accepts is what it would have acted upon.
"""

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reelbase.errors import Answer, AuthenticationError
from reelbase.execution.call import Call
from reelbase.models import UserRole

PROOF: Call[UserRole] = Call("user_role", {}, UserRole, idempotent=True)
"""A call that everyone may make, answered only where the key or token is good. It is marked as no read, so
that no cache answers it."""

PROVEN_FOR = 300.0
"""Seconds after which a key or token is proven again: it may have been revoked."""

# As much as the Data API allows for clocks that differ.
_LEEWAY = 30
_JWT_PARTS = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """A role of the database, and what policies read of the caller."""

    role: str
    claims: Mapping[str, Any] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)

    def check_times(self) -> None:
        """Raises AuthenticationError, as the Data API does, when the token's time is over."""
        expires = self.claims.get("exp")
        if isinstance(expires, int | float) and expires + _LEEWAY < time.time():
            raise AuthenticationError(
                Answer(
                    "JWT expired", sqlstate="PGRST303", status=401, hint="Use a client with a fresh token."
                )
            )


@dataclass(frozen=True, slots=True)
class Proven:
    """An identity that the Data API has accepted, and when."""

    identity: Identity
    at: float

    @property
    def stale(self) -> bool:
        return time.monotonic() - self.at > PROVEN_FOR


def proven(bearer: str, role: UserRole, headers: Mapping[str, str]) -> Proven:
    """The identity behind a key or token which the Data API has just accepted, taking it for `role`."""
    claims = _claims(bearer)
    if claims is None:
        # A key that is no JWT: the gateway has made it one of these two.
        if role not in {UserRole.SERVICE_ROLE, UserRole.ANON}:
            raise AuthenticationError(Answer(f"The API key stands for {role}, which no key can.", status=401))
        claims = {"role": str(role)}
    name = claims.setdefault("role", "anon")
    if not isinstance(name, str):
        raise AuthenticationError(Answer("The token's role is no text.", status=401))
    return Proven(Identity(name, claims, headers), time.monotonic())


def _claims(bearer: str) -> dict[str, Any] | None:
    parts = bearer.split(".")
    if len(parts) != _JWT_PARTS:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None
