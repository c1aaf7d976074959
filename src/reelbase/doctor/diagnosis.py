"""What the doctor found."""

from collections.abc import Iterable
from enum import StrEnum

from pydantic import computed_field

from reelbase.models import Model


class Level(StrEnum):
    """`note` is worth knowing, `skipped` could not be looked at; only a `problem` needs mending."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"
    SKIPPED = "skipped"


class Finding(Model):
    """One thing that was looked at. `subject` names what is wrong, so that programs can tell."""

    area: str
    level: Level
    message: str
    remedy: str | None = None
    subject: str | None = None


class Diagnosis(Model):
    """All findings, in the order in which they were looked for."""

    url: str | None
    findings: tuple[Finding, ...]

    @computed_field  # type: ignore[prop-decorator]  # mypy knows no decorated properties
    @property
    def healthy(self) -> bool:
        """Whether no problem was found."""
        return not any(finding.level is Level.PROBLEM for finding in self.findings)

    def count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)


def ok(area: str, message: str) -> Finding:
    return Finding(area=area, level=Level.OK, message=message)


def note(area: str, message: str, remedy: str | None = None) -> Finding:
    return Finding(area=area, level=Level.NOTE, message=message, remedy=remedy)


def skipped(area: str, message: str, remedy: str | None = None) -> Finding:
    return Finding(area=area, level=Level.SKIPPED, message=message, remedy=remedy)


def problem(area: str, message: str, remedy: str, *, subject: str | None = None) -> Finding:
    return Finding(area=area, level=Level.PROBLEM, message=message, remedy=remedy, subject=subject)


def troubled(findings: Iterable[Finding]) -> bool:
    """Whether there is a problem among them."""
    return any(finding.level is Level.PROBLEM for finding in findings)
