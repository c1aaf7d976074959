"""What is demanded of passwords, and their hashes."""

import bcrypt
import pytest

from localbase.auth.errors import AuthError
from localbase.auth.passwords import check_strength, find_weakness, hash_password, is_hash, matches
from localbase.project import AuthConfig


def test_which_hashes_are_read() -> None:
    assert is_hash("$2a$10$" + "a" * 53)
    assert not is_hash("$2a$31$" + "a" * 53), "it would take days to check"
    assert not is_hash("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA")


async def test_hashing_and_checking() -> None:
    hashed = await hash_password("pässwörd")

    assert is_hash(hashed)
    assert await matches("pässwörd", hashed)
    assert not await matches("password", hashed)


async def test_hashes_of_other_tools_are_good() -> None:
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4, prefix=b"2a")).decode()

    assert await matches("secret", hashed)


@pytest.mark.parametrize("hashed", [None, "", "secret", "$2b$10$short"])
async def test_nothing_matches_without_a_hash(hashed: str | None) -> None:
    assert not await matches("secret", hashed)


async def test_only_the_first_bytes_being_right_is_wrong() -> None:
    hashed = await hash_password("a" * 72)

    assert await matches("a" * 72, hashed)
    assert not await matches("a" * 73, hashed)


def test_a_password_may_be_too_long() -> None:
    with pytest.raises(AuthError, match="cannot be longer than 72 characters") as caught:
        check_strength("é" * 37, AuthConfig())

    assert (caught.value.status, caught.value.code) == (400, "validation_failed")


def test_a_password_may_be_weak_in_several_ways() -> None:
    config = AuthConfig(minimum_password_length=8, password_requirements="lower_upper_letters_digits")

    with pytest.raises(AuthError) as caught:
        check_strength("abc", config)

    assert (caught.value.status, caught.value.code) == (422, "weak_password")
    assert caught.value.reasons == ("length", "characters")
    assert caught.value.message.startswith(
        "Password should be at least 8 characters. Password should contain"
    )


@pytest.mark.parametrize(
    ("requirements", "password"),
    [
        ("letters_digits", "abcde1"),
        ("lower_upper_letters_digits", "abcdE1"),
        ("lower_upper_letters_digits_symbols", "abcdE1!"),
        ("", "abcdef"),
    ],
)
def test_strong_passwords(requirements: str, password: str) -> None:
    assert find_weakness(password, AuthConfig(password_requirements=requirements)) is None
