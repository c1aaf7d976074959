"""Signing short-lived tokens, as the project's Auth service would."""

import json
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from reelbase.errors import ConfigurationError
from reelbase.execution.identity import Secret
from reelbase.execution.invalid import invalid

LONGEST = timedelta(days=1)
_MINIMUM_LENGTH = 32


class SigningKey:
    """What signs tokens that the project accepts. Neither repr nor errors show it."""

    def __init__(self, key: Any, algorithm: str, key_id: str | None = None) -> None:
        self._key = key
        self._algorithm = algorithm
        self._key_id = key_id

    def __repr__(self) -> str:
        return f"SigningKey({self._algorithm}, {self._key_id})"

    @classmethod
    def from_secret(cls, secret: str) -> Self:
        """The project's JWT secret (HS256). Raises ConfigurationError if it is too short to be one."""
        # Under the same name, so that a traceback that shows local variables does not show it.
        secret = Secret(secret)
        if len(secret) < _MINIMUM_LENGTH:
            raise ConfigurationError(
                f"The JWT secret has fewer than {_MINIMUM_LENGTH} characters.",
                hint="Set SUPABASE_JWT_SECRET to what `supabase status -o env` calls JWT_SECRET.",
            )
        return cls(secret, "HS256")

    @classmethod
    def from_private_key(cls, text: str, key_id: str | None = None) -> Self:
        """An asymmetric key that the project knows, as JWK (of `supabase gen signing-key`) or PEM.

        A PEM says no `kid`: give the one that the project has for it. Raises ConfigurationError.
        """
        import jwt  # noqa: PLC0415  # it brings cryptography, which takes its time

        text = Secret(text)
        try:
            made = (
                cls._from_jwk(text, key_id)
                if text.lstrip()[:1] in {"{", "["}
                else cls._from_pem(text, key_id)
            )
            made.sign({}, timedelta(seconds=1))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, jwt.PyJWTError):
            # Without its cause: what reads keys may quote them.
            raise ConfigurationError(
                "The signing key cannot be read.",
                hint="REELBASE_SIGNING_KEY takes a private key: a JWK (ES256, RS256) or PEM.",
            ) from None
        return made

    @classmethod
    def _from_jwk(cls, text: str, key_id: str | None) -> Self:
        import jwt  # noqa: PLC0415

        parsed = json.loads(text)
        jwk = jwt.PyJWK.from_dict(parsed[0] if isinstance(parsed, list) else parsed)
        return cls(jwk.key, jwk.algorithm_name, key_id or jwk.key_id)

    @classmethod
    def _from_pem(cls, text: str, key_id: str | None) -> Self:
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

        key = load_pem_private_key(text.encode(), password=None)
        return cls(key, "ES256" if isinstance(key, EllipticCurvePrivateKey) else "RS256", key_id)

    def sign(self, claims: Mapping[str, Any], expires_in: timedelta) -> str:
        """A token with these claims. Raises InvalidArgument for a life longer than a day."""
        import jwt  # noqa: PLC0415

        if not timedelta(0) < expires_in <= LONGEST:
            raise invalid("expires_in", "must be more than nothing and at most a day")
        now = int(time.time())
        expiry = now + max(1, int(expires_in.total_seconds()))
        headers = {"kid": self._key_id} if self._key_id else None
        return jwt.encode({**claims, "iat": now, "exp": expiry}, self._key, self._algorithm, headers=headers)
