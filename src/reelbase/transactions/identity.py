"""Who a transaction speaks for: the role and claims that the Data API would give the client's key or token.

The database believes what a session says of itself, so a token's claims must be proven before they go there.
Whoever checks tokens for the Data API is asked: the Data API itself. Its answer covers every kind of key and
token, whatever signs them, and what it accepts is what it would have acted upon.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from reelbase.errors import Answer, AuthenticationError
from reelbase.execution.call import Call
from reelbase.execution.telemetry import Telemetry
from reelbase.models import UserRole

B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")

PROOF: Call[UserRole] = Call("user_role", {}, UserRole, idempotent=True)
"""A call that everyone may make, answered only where the key or token is good. It is marked as no read, so
that no cache answers it."""

PROVEN_FOR = 300.0
"""Seconds after which a key or token is proven again: it may have been revoked."""

_JWT_PARTS = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """A role of the database, and the claims that policies read of the caller."""

    role: str
    claims: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Speaker(Generic[B, C, D]):
    """Whom a client speaks for: `bearer` gives its key or token, valid for a while, and `prove` makes a
    call with it. `telemetry` observes the calls of its transactions.

    `committed` is told the calls of a transaction that took effect, with their results, and whether that is
    certain.
    """

    bearer: Callable[[], B]
    prove: Callable[[Call[UserRole]], C]
    telemetry: Telemetry
    committed: Callable[[list[tuple[Call[Any], Any]], bool], D] | None = None


@dataclass(frozen=True, slots=True)
class Proven:
    """An identity that the Data API has accepted, and when."""

    identity: Identity
    at: float

    @property
    def good(self) -> bool:
        """Whether it need not be proven again."""
        expires = self.identity.claims.get("exp")
        expired = isinstance(expires, int | float) and expires <= time.time()
        return not expired and time.monotonic() - self.at <= PROVEN_FOR


class Known:
    """The identities that have been proven, by key or token. Several clients may share it."""

    def __init__(self) -> None:
        self._proven: dict[str, Proven] = {}

    def get(self, bearer: str) -> Identity | None:
        known = self._proven.get(bearer)
        return known.identity if known is not None and known.good else None

    def add(self, bearer: str, role: UserRole) -> Identity:
        """The Data API has just accepted the key or token, and takes it for `role`."""
        self._proven = {known: proof for known, proof in self._proven.items() if proof.good}
        proof = self._proven[bearer] = _proven(bearer, role)
        return proof.identity


def _proven(bearer: str, role: UserRole) -> Proven:
    claims = _claims(bearer)
    if claims is None:
        # A key that is no JWT: the gateway makes it one of these two.
        claims = {"role": str(role) if role in {UserRole.SERVICE_ROLE, UserRole.ANON} else None}
    name = claims.setdefault("role", "anon")
    # Whom the Data API took the caller for is whom the claims describe: else it was asked with another token.
    if not isinstance(name, str) or _role_of(name, claims) != role:
        raise AuthenticationError(
            Answer(f"The key or token is not one that stands for {role}, as the Data API says.", status=401)
        )
    return Proven(Identity(name, claims), time.monotonic())


def _role_of(name: str, claims: Mapping[str, Any]) -> str:
    """The platform's role of the claims, as `user_role` tells it."""
    metadata = claims.get("app_metadata")
    given = metadata.get("role") if isinstance(metadata, dict) else None
    if name != UserRole.SERVICE_ROLE and given in {UserRole.ADMIN, UserRole.SERVICE_ACCOUNT}:
        return str(given)
    return name


def _claims(bearer: str) -> dict[str, Any] | None:
    parts = bearer.split(".")
    if len(parts) != _JWT_PARTS:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None
