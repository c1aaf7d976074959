"""What a step did otherwise than recorded, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conformance.realtime.placeholders import show
from conformance.realtime.session import Step


@dataclass(frozen=True, slots=True)
class Finding:
    """`before` is what was done since the last look; expected and received are by client."""

    step: Step
    before: Sequence[Step]
    received: Mapping[str, Any]
    differences: Sequence[str]

    def __str__(self) -> str:
        lines = [
            *("", f"{self.step}"),
            *("Done before:", *(f"    {step.action} {show(step.details)}" for step in self.before)),
            *("Expected:", *_by_client(self.step.details.get("frames", self.step.details))),
            *("Received:", *_by_client(self.received)),
            *("Different:", *(f"    {difference}" for difference in self.differences)),
        ]
        return "\n".join(lines)


def _by_client(told: Mapping[str, Any]) -> list[str]:
    return [
        f"    {name}: {show(item)}"
        for name, items in told.items()
        for item in (items if isinstance(items, list) else [items])
    ] or ["    nothing"]
