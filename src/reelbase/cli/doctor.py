"""What `reelbase doctor` prints."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reelbase.doctor.diagnosis import Diagnosis, Finding, Level

_MARKS = {
    Level.OK: ("✔", "green"),
    Level.NOTE: ("i", "cyan"),
    Level.PROBLEM: ("✘", "red"),
    Level.SKIPPED: ("–", "dim"),
}


def print_diagnosis(console: Console, diagnosis: Diagnosis) -> None:
    """A line a finding with its remedy below, and the sum at the end."""
    if diagnosis.url is not None:
        console.print(f"Looking at {diagnosis.url}", markup=False, highlight=False, soft_wrap=True)
        console.print()
    console.print(_table(diagnosis.findings))
    console.print()
    console.print(Text(_sum(diagnosis), style="green" if diagnosis.healthy else "red"))


def _table(findings: tuple[Finding, ...]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        mark, style = _MARKS[finding.level]
        for number, line in enumerate(_lines(finding)):
            first = number == 0
            table.add_row(Text(mark if first else "", style), finding.area if first else "", line)
    return table


def _lines(finding: Finding) -> Iterator[Text]:
    yield Text(finding.message)
    if finding.remedy is not None:
        yield Text(f"→ {finding.remedy}", "bold" if finding.level is Level.PROBLEM else "dim")


def _sum(diagnosis: Diagnosis) -> str:
    number = diagnosis.count(Level.PROBLEM)
    if number == 0:
        return "No problem found."
    return "1 problem found." if number == 1 else f"{number} problems found."
