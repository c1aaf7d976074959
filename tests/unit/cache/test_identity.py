"""Who shares what with whom."""

import time
from typing import Any

import jwt
import pytest

from reelbase.cache.identity import identify

URL = "http://localhost"
SECRET = "a secret for tests, long enough for HS256"


def token(**claims: Any) -> str:
    return jwt.encode(claims, SECRET, "HS256")


@pytest.mark.parametrize(
    ("key", "access_token", "shared"),
    [
        ("sb_secret_x", None, True),
        (token(role="service_role"), None, True),
        ("sb_publishable_x", None, False),
        (token(role="anon"), None, False),
        ("sb_publishable_x", token(role="authenticated", sub="user"), True),
        ("sb_publishable_x", token(role="anon", sub="user"), False),
        ("sb_publishable_x", token(role="authenticated"), False),
        ("sb_publishable_x", "no token", False),
    ],
)
def test_shared__is_what_the_database_does_not_know_by_the_address_of_the_machine(
    key: str, access_token: str | None, shared: bool
) -> None:
    assert identify(URL, key, access_token).shared is shared


def test_shared__is_an_anonymous_client_whose_address_is_told() -> None:
    one = identify(URL, "sb_publishable_x", client_address="192.0.2.1")
    other = identify(URL, "sb_publishable_x", client_address="192.0.2.2")

    assert one.shared
    assert one.digest != other.digest


def test_claims__of_another_signature_are_another_identity() -> None:
    claims = {"role": "authenticated", "sub": "user"}
    forged = jwt.encode(claims, "a secret that somebody made up for this test", "HS256")

    assert identify(URL, "key", token(**claims)).digest != identify(URL, "key", forged).digest


def test_expired__is_a_token_whose_time_is_over() -> None:
    now = int(time.time())

    assert identify(URL, "key", token(exp=now - 1)).expired
    assert not identify(URL, "key", token(exp=now + 60)).expired
    assert not identify(URL, "key", token(sub="user")).expired


@pytest.mark.parametrize("odd", ["", "a.b", "a.!.c", "a.W10.c", "a.bnVsbA.c", "é.é.é"])
def test_claims__of_what_is_no_token_are_none(odd: str) -> None:
    assert identify(URL, "key", odd).expires_at is None
