"""What an API key says about itself, without asking the server."""

import base64
import json
import time
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from reelbase.doctor.diagnosis import Finding, problem

AREA = "keys"


class KeyKind(StrEnum):
    """Whose key it is: anyone's, or a backend's."""

    PUBLIC = "anon"
    BACKEND = "service_role"


VARIABLES = {
    KeyKind.PUBLIC: "SUPABASE_ANON_KEY",
    KeyKind.BACKEND: "SUPABASE_SERVICE_ROLE_KEY",
}
_PREFIXES = {"sb_publishable_": KeyKind.PUBLIC, "sb_secret_": KeyKind.BACKEND}
_NAMES = {
    KeyKind.PUBLIC: "a publishable key (sb_publishable_…) or the anon JWT",
    KeyKind.BACKEND: "a secret key (sb_secret_…) or the service_role JWT",
}
_REMEDY = "Copy the keys anew: from the project's API settings, or from `supabase status -o env`."


def look_at_key(wanted: KeyKind, key: str) -> Iterator[Finding]:
    """What is wrong with a key by its looks. The key itself is never told."""
    variable = VARIABLES[wanted]
    claims = _claims(key)
    found = next((kind for prefix, kind in _PREFIXES.items() if key.startswith(prefix)), None)
    if found is None and claims is None:
        yield problem(
            AREA, f"{variable} is no API key: it must be {_NAMES[wanted]}.", _REMEDY, subject=variable
        )
        return
    role = found or str((claims or {}).get("role"))
    if role != wanted:
        yield problem(
            AREA,
            f"{variable} holds a key of the role {role}; it must be {_NAMES[wanted]}.",
            _REMEDY
            if wanted is KeyKind.BACKEND
            else f"{_REMEDY} If this one has been handed out, replace it: it may do everything.",
            subject=variable,
        )
    expiry = (claims or {}).get("exp")
    if isinstance(expiry, int | float) and expiry < time.time():
        yield problem(AREA, f"{variable} has expired.", _REMEDY, subject=variable)


def _claims(key: str) -> dict[str, Any] | None:
    """What a JWT says, believed for the words of a report only."""
    parts = key.split(".")
    if len(parts) != len(("header", "payload", "signature")):
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None
