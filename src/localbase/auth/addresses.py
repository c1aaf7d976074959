"""Email addresses and phone numbers in the form in which they are kept."""

import re

from localbase.auth.errors import invalid_request

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
# What the HTML standard takes for an address.
_EMAIL = re.compile(rf"[a-zA-Z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})*")
# E.164, once the plus sign and the spaces are gone.
_PHONE = re.compile(r"[1-9][0-9]{1,14}")
_MAX_LENGTH = 255


def checked_email(text: str) -> str:
    """Raises AuthError."""
    if not text:
        raise invalid_request("An email address is required")
    if len(text) > _MAX_LENGTH:
        raise invalid_request("An email address is too long")
    if not _EMAIL.fullmatch(text):
        raise invalid_request("Unable to validate email address: invalid format")
    return text.lower()


def checked_phone(text: str) -> str:
    """Raises AuthError."""
    phone = text.replace("+", "").replace(" ", "")
    if not _PHONE.fullmatch(phone):
        raise invalid_request("Invalid phone number format (E.164 required)")
    return phone
