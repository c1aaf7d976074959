"""What was recorded: the steps of a conversation with Supabase Realtime."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Step:
    """What a client or the database does, or which frames arrive since the last time they were looked at."""

    number: int
    action: str
    details: Mapping[str, Any]

    def __str__(self) -> str:
        told = (self.details.get(name, "") for name in ("client", "note", "sql", "method", "path"))
        return " ".join(["step", f"{self.number}:", self.action, *filter(None, told)])


@dataclass(frozen=True, slots=True)
class Session:
    """Sessions of one group use the same tables, so they are played one after the other."""

    id: str
    version: str
    group: str
    priority: str
    description: str
    tokens: Mapping[str, Any]
    # Who sends heartbeats of its own: nobody, everybody, or the clients named.
    beating: bool | tuple[str, ...]
    # What it stops and starts again: restart-db or restart-server.
    requires: tuple[str, ...]
    slow: bool
    steps: tuple[Step, ...]
    text: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        header, *steps = map(json.loads, text.splitlines())
        beat = header.get("beat", False)
        return cls(
            id=header["session"],
            version=header["vsn"],
            group=header["group"],
            priority=header["priority"],
            description=header["desc"],
            tokens=header.get("tokens", {}),
            beating=beat if isinstance(beat, bool) else tuple(beat),
            requires=tuple(header.get("requires", ())),
            slow=header.get("slow", False),
            steps=tuple(Step(number, step.pop("do"), step) for number, step in enumerate(steps, 1)),
            text=text,
        )

    @property
    def keywords(self) -> tuple[str, ...]:
        return self.group, self.priority

    def amended(self, instead: Mapping[str, str]) -> Self:
        """The same conversation with some texts replaced."""
        text = self.text
        for recorded, other in instead.items():
            text = text.replace(recorded, other)
        return replace(self.parse(text), id=f"{self.id}-amended")


def _read() -> list[Session]:
    files = sorted((Path(__file__).parent / "sessions").glob("*.jsonl"))
    return [Session.parse(file.read_text(encoding="utf-8")) for file in files]


SESSIONS = _read()
