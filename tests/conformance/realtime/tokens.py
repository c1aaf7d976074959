"""Makes the tokens of a session when they are first used, since the seconds of some are counted from then."""

import time
from collections.abc import Mapping
from typing import Any

import jwt

_KEYS = {"SERVICE": {"claims": {"role": "service_role"}}, "ANON": {"claims": {"role": "anon"}}}
_OTHER_SECRET = "another-secret-with-at-least-32-characters-in-it-xxxx"
_DAY_S = 86400


class Tokens:
    """Those of one session by name, signed with the secret of the stack."""

    def __init__(self, recorded: Mapping[str, Any], secret: str) -> None:
        self._recorded = {**_KEYS, **recorded}
        self._secret = secret
        self._made: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        if name not in self._made:
            self._made[name] = self._make(self._recorded[name])
        return self._made[name]

    def _make(self, recorded: Mapping[str, Any]) -> str:
        now, lifetime = int(time.time()), recorded.get("exp_in", _DAY_S)
        claims = {"iat": now, **recorded["claims"]}
        if lifetime is not None:
            claims.setdefault("exp", now + lifetime)
        if recorded.get("exp_float"):
            claims["exp"] += 0.5
        return jwt.encode(claims, _OTHER_SECRET if recorded.get("bad_secret") else self._secret)
