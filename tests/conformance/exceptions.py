"""The recordings that localbase does not answer as the real server did, and why: exceptions.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Deliberate:
    """Recordings that differ for good, and texts to replace so that the rest of them can be played."""

    ids: tuple[str, ...]
    reason: str
    instead: Mapping[str, str]


def _read() -> list[Deliberate]:
    content = tomllib.loads(Path(__file__).with_name("exceptions.toml").read_text(encoding="utf-8"))
    return [
        Deliberate(tuple(entry["ids"]), entry["reason"], entry.get("instead", {}))
        for entry in content.get("deliberate", [])
    ]


DELIBERATE = _read()
REASONS = {recording: entry.reason for entry in DELIBERATE for recording in entry.ids}


def marks(recording: str) -> list[pytest.MarkDecorator]:
    """Strict: an exception that is not needed any more fails until its id is removed."""
    if recording not in REASONS:
        return []
    return [pytest.mark.xfail(strict=True, raises=AssertionError, reason=REASONS[recording])]
