import json
from typing import Any

import jwt
import pytest

from localbase.tokens import LEEWAY_S, InvalidTokenError, sign, verify

SECRET = "a secret of at least thirty-two characters"
NOW = 1_800_000_000


def test_claims_come_back_as_signed() -> None:
    claims = {"role": "anon", "big": 2**60 + 1, "deep": {"a": [1, None]}}

    assert verify(sign(claims, SECRET), SECRET) == claims


@pytest.mark.parametrize(
    ("token", "message", "details"),
    [
        ("", "Empty JWT is sent in Authorization header", None),
        ("one.two", "Expected 3 parts in JWT; got 2", None),
        ("not.base64.json", "JWT cryptographic operation failed", None),
        (
            sign({}, SECRET[::-1]),
            "No suitable key or wrong key type",
            "None of the keys was able to decode the JWT",
        ),
        (
            jwt.encode({}, SECRET * 2, algorithm="HS512"),
            "No suitable key or wrong key type",
            "No suitable key was found to decode the JWT",
        ),
        (
            jwt.encode({}, None, algorithm="none"),
            "Wrong or unsupported encoding algorithm",
            "JWT is unsecured but expected 'alg' was not 'none'",
        ),
    ],
)
def test_unreadable_token(token: str, message: str, details: str | None) -> None:
    with pytest.raises(InvalidTokenError) as caught:
        verify(token, SECRET)

    assert (caught.value.code, caught.value.message, caught.value.details) == ("PGRST301", message, details)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"exp": NOW - LEEWAY_S - 1}, "JWT expired"),
        ({"nbf": NOW + LEEWAY_S + 1}, "JWT not yet valid"),
        ({"iat": NOW + LEEWAY_S + 1}, "JWT issued at future"),
        ({"exp": "soon"}, "The JWT 'exp' claim must be a number"),
        ({"aud": 7}, "The JWT 'aud' claim must be a string or an array of strings"),
    ],
)
def test_wrong_claims(claims: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidTokenError) as caught:
        verify(jwt.PyJWS().encode(json.dumps(claims).encode(), SECRET), SECRET, now=NOW)

    assert (caught.value.code, caught.value.message) == ("PGRST303", message)


@pytest.mark.parametrize("claims", [{"exp": NOW - LEEWAY_S}, {"nbf": NOW + LEEWAY_S}, {"aud": ["a", "b"]}])
def test_clocks_may_differ_a_little(claims: dict[str, Any]) -> None:
    assert verify(sign(claims, SECRET), SECRET, now=NOW) == claims


def test_claims_must_be_an_object() -> None:
    with pytest.raises(InvalidTokenError, match="Parsing claims failed"):
        verify(jwt.PyJWS().encode(b"[]", SECRET), SECRET)
