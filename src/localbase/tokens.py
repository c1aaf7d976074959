"""JSON Web Tokens: made for the local keys, checked the way the Data API checks them."""

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt

Claims = dict[str, Any]

# Clocks differ: a token is believed this many seconds before and after its time.
LEEWAY_S = 30
PARTS = 3
_JWS = jwt.PyJWS(algorithms=["HS256"])


class InvalidTokenError(Exception):
    """A token that is refused; `code` tells a token that cannot be read from one whose claims are wrong."""

    UNREADABLE = "PGRST301"
    BAD_CLAIMS = "PGRST303"

    def __init__(self, code: str, message: str, details: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


def sign(claims: Mapping[str, Any], secret: str) -> str:
    return jwt.encode(dict(claims), secret, algorithm="HS256")


def verify(token: str, secret: str, *, now: float | None = None) -> Claims:
    """The claims of a token signed with `secret`. Raises InvalidTokenError."""
    claims = _parse_claims(_read(token, secret))
    _check_times(claims, time.time() if now is None else now)
    _check_audience(claims.get("aud"))
    return claims


def _read(token: str, secret: str) -> bytes:
    if not token:
        raise InvalidTokenError(InvalidTokenError.UNREADABLE, "Empty JWT is sent in Authorization header")
    parts = token.count(".") + 1
    if parts != PARTS:
        raise InvalidTokenError(InvalidTokenError.UNREADABLE, f"Expected {PARTS} parts in JWT; got {parts}")
    try:
        payload: bytes = _JWS.decode(token, secret, algorithms=["HS256"])
    except jwt.InvalidSignatureError as error:
        raise _wrong_key("None of the keys was able to decode the JWT") from error
    except jwt.InvalidAlgorithmError as error:
        raise _wrong_algorithm(token) from error
    except jwt.InvalidTokenError as error:
        raise InvalidTokenError(InvalidTokenError.UNREADABLE, "JWT cryptographic operation failed") from error
    return payload


def _wrong_key(details: str) -> InvalidTokenError:
    return InvalidTokenError(InvalidTokenError.UNREADABLE, "No suitable key or wrong key type", details)


def _wrong_algorithm(token: str) -> InvalidTokenError:
    if jwt.get_unverified_header(token)["alg"] == "none":
        return InvalidTokenError(
            InvalidTokenError.UNREADABLE,
            "Wrong or unsupported encoding algorithm",
            "JWT is unsecured but expected 'alg' was not 'none'",
        )
    return _wrong_key("No suitable key was found to decode the JWT")


def _parse_claims(payload: bytes) -> Claims:
    try:
        claims = json.loads(payload)
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise InvalidTokenError(InvalidTokenError.BAD_CLAIMS, "Parsing claims failed")
    return claims


def _check_times(claims: Claims, now: float) -> None:
    for name in ("exp", "nbf", "iat"):
        if not _is_number(claims.get(name, 0)):
            raise InvalidTokenError(InvalidTokenError.BAD_CLAIMS, f"The JWT '{name}' claim must be a number")
    if now - LEEWAY_S > claims.get("exp", now):
        raise InvalidTokenError(InvalidTokenError.BAD_CLAIMS, "JWT expired")
    if now + LEEWAY_S < claims.get("nbf", now):
        raise InvalidTokenError(InvalidTokenError.BAD_CLAIMS, "JWT not yet valid")
    if now + LEEWAY_S < claims.get("iat", now):
        raise InvalidTokenError(InvalidTokenError.BAD_CLAIMS, "JWT issued at future")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_audience(audience: object) -> None:
    listed = audience if isinstance(audience, list) else [audience or ""]
    if not all(isinstance(item, str) for item in listed):
        raise InvalidTokenError(
            InvalidTokenError.BAD_CLAIMS, "The JWT 'aud' claim must be a string or an array of strings"
        )
