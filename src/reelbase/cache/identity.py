"""Whose results are cached: nobody is served what somebody else has read."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client speaks for, with nothing that could be used to speak for it.

    `deployment` and `digest` are hashes. `secret` signs what is shared, so that only who has the same key
    and token can have written it. What is not `shared` stays in this process. From `expires_at` on, the
    database no longer accepts the token, and the cache neither.
    """

    deployment: str
    digest: str
    secret: bytes = field(repr=False)
    shared: bool
    expires_at: float | None

    @property
    def expired(self) -> bool:
        return self.expires_at is not None and time.time() >= self.expires_at


def identify(
    url: str, key: str, access_token: str | None = None, client_address: str | None = None
) -> Identity:
    """The identity of a client.

    The whole token counts, its signature too: claims alone could be anybody's, and nobody has checked them
    here. A refreshed token therefore begins with an empty cache.
    """
    claims = _claims(access_token or key)
    whole = json.dumps([url.rstrip("/"), key, access_token, client_address]).encode()
    expires_at = claims.get("exp")
    return Identity(
        deployment=hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16],
        digest=hmac.digest(whole, b"reelbase cache identity", "sha256").hex()[:32],
        secret=hmac.digest(whole, b"reelbase cache secret", "sha256"),
        shared=client_address is not None or _is_known(key, access_token, claims),
        expires_at=float(expires_at) if isinstance(expires_at, int | float) else None,
    )


def _is_known(key: str, access_token: str | None, claims: dict[str, Any]) -> bool:
    """Whether the database knows the caller by something else than the address of this machine."""
    if access_token is None:
        return key.startswith("sb_secret_") or claims.get("role") == "service_role"
    return claims.get("role") not in {None, "anon"} and "sub" in claims


def _claims(token: str) -> dict[str, Any]:
    """What a JWT says of itself; nothing for other keys."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
