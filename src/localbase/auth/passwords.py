"""Passwords: what is demanded of one, and bcrypt, off the event loop.

bcrypt because the real service uses it: seeds bring ready-made hashes along.
"""

import asyncio
import re
import string

import bcrypt

from localbase.auth.errors import AuthError, invalid_request
from localbase.project import AuthConfig

_COST = 10
# What bcrypt looks at.
_MAX_BYTES = 72
_HASH = re.compile(r"\$2[aby]\$(0[4-9]|1\d)\$[./A-Za-z0-9]{53}")
# As costly to check as a real one, and matched by nothing.
_NO_HASH = f"$2b${_COST}${'.' * 53}"

_SYMBOLS = "!@#$%^&*()_+-=[]{};'\\:\"|<>?,./`~"
_LOWER, _UPPER = string.ascii_lowercase, string.ascii_uppercase
# The names are those of config.toml.
_REQUIREMENTS = {
    "letters_digits": (_LOWER + _UPPER, string.digits),
    "lower_upper_letters_digits": (_LOWER, _UPPER, string.digits),
    "lower_upper_letters_digits_symbols": (_LOWER, _UPPER, string.digits, _SYMBOLS),
}


def check_strength(password: str, config: AuthConfig) -> None:
    """Raises AuthError for a password that is too long or too weak."""
    if len(password.encode()) > _MAX_BYTES:
        raise invalid_request(f"Password cannot be longer than {_MAX_BYTES} characters")
    if weakness := find_weakness(password, config):
        raise weakness


def find_weakness(password: str, config: AuthConfig) -> AuthError | None:
    """Why a password is weak."""
    reasons: dict[str, str] = {}
    if len(password.encode()) < config.minimum_password_length:
        reasons["length"] = f"Password should be at least {config.minimum_password_length} characters."
    required = _REQUIREMENTS.get(config.password_requirements, ())
    if not all(set(password) & set(characters) for characters in required):
        wanted = ", ".join(required)
        reasons["characters"] = f"Password should contain at least one character of each: {wanted}."
    if not reasons:
        return None
    return AuthError(422, "weak_password", " ".join(reasons.values()), tuple(reasons))


async def hash_password(password: str) -> str:
    hashed = await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt(_COST))
    return hashed.decode()


async def matches(password: str, hashed: str | None) -> bool:
    """Takes its time without a hash too, so that nobody learns which accounts there are."""
    known = hashed if hashed is not None and is_hash(hashed) else _NO_HASH
    sent = password.encode()
    same = await asyncio.to_thread(bcrypt.checkpw, sent[:_MAX_BYTES], known.encode())
    return same and known == hashed and len(sent) <= _MAX_BYTES


def is_hash(text: str) -> bool:
    """Whether it is a bcrypt hash that can be checked in reasonable time."""
    return _HASH.fullmatch(text) is not None
