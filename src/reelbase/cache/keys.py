"""Under which key a result is kept."""

import hashlib
import json
from collections.abc import Hashable
from types import NoneType
from typing import Any, cast
from uuid import UUID

from reelbase.cache.identity import Identity
from reelbase.execution.call import Call

PREFIX = "reelbase:v1"
"""Counted up when what stands under the keys changes its form."""

TAG_INFIX = ":tag:"

_PLAIN = frozenset({UUID, str, int, bool, NoneType})


def memory_key(identity: Identity, call: Call[Any]) -> Hashable:
    """Equal for the same call of the same identity, and for nothing else."""
    result = cast("Hashable", call.result)
    parts: list[Hashable] = [identity.digest, call.function, result]
    for name, value in call.arguments.items():
        kind = type(value)
        if kind not in _PLAIN:
            return (identity.digest, call.function, result, _canonical(call))
        # With its type: 1 and True are equal in Python, and not in JSON.
        parts.append((name, cast("Hashable", kind), value))
    return tuple(parts)


def shared_key(identity: Identity, call: Call[Any]) -> str:
    """The same for all processes. The form of the result is part of it, so versions do not mix."""
    what = hashlib.sha256(f"{call.shape()}\n{_canonical(call)}".encode()).hexdigest()[:32]
    return f"{PREFIX}:{identity.deployment}:{identity.digest}:{call.function}:{what}"


def tag_key(identity: Identity, tag: str) -> str:
    """Where the generation of a tag stands, for all identities and versions of a deployment."""
    return f"{PREFIX}:{identity.deployment}{TAG_INFIX}{tag}"


def _canonical(call: Call[Any]) -> str:
    return json.dumps(call.payload(), sort_keys=True, separators=(",", ":"))
