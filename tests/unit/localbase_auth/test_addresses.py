"""Which addresses and numbers are taken, and how they are kept."""

import pytest

from localbase.auth.addresses import checked_email, checked_phone
from localbase.auth.errors import AuthError


@pytest.mark.parametrize("text", ["a@b.co", "Ann.O'Neil+tag@Sub.Example.COM", "x@localhost"])
def test_addresses_are_kept_in_lower_case(text: str) -> None:
    assert checked_email(text) == text.lower()


@pytest.mark.parametrize(
    "text", ["a", "@b.co", "a@", "a b@c.de", "a@b..co", "a@-b.co", "a@b.co\n", "ä@b.co", "a@b.co\x00"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(AuthError) as caught:
        checked_email(text)

    assert (caught.value.status, caught.value.code) == (400, "validation_failed")
    assert caught.value.message == "Unable to validate email address: invalid format"


def test_addresses_have_a_longest_length() -> None:
    with pytest.raises(AuthError, match="too long"):
        checked_email(f"{'a' * 250}@b.co.uk")


def test_numbers_are_kept_without_sign_and_spaces() -> None:
    assert checked_phone("+43 660 1234567") == "436601234567"


@pytest.mark.parametrize("text", ["", "0660123", "+1-555", "1" * 16])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(AuthError, match=r"E\.164"):
        checked_phone(text)
