"""What `reelbase health` prints."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reelbase.models import HealthCheck, HealthReport, HealthStatus

_STYLES = {
    HealthStatus.HEALTHY: "green",
    HealthStatus.DEGRADED: "yellow",
    HealthStatus.UNHEALTHY: "red",
    HealthStatus.SKIPPED: "dim",
}
_UNITS = {
    "ms": (1, "{:.0f} ms"),
    "seconds": (1, "{:.1f} s"),
    "bytes": (1024 * 1024, "{:,.1f} MiB"),
    "percent": (1, "{:.1f} %"),
}
EXIT_CODES = {HealthStatus.HEALTHY: 0, HealthStatus.DEGRADED: 1, HealthStatus.UNHEALTHY: 2}


def print_report(console: Console, report: HealthReport) -> None:
    """A row a check, then what to do, then the whole."""
    console.print(_table(report))
    for finding in report.findings:
        console.print()
        console.print(Text(finding.problem, style=_STYLES[finding.status]), soft_wrap=True)
        console.print(Text(f"→ {finding.recommendation}", style="bold"), soft_wrap=True)
    console.print()
    console.print(Text(_summary(report), style=_STYLES[report.status]), soft_wrap=True)


def _table(report: HealthReport) -> Table:
    table = Table()
    table.add_column("check", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("details", overflow="fold")
    told = None
    for check in report.checks:
        words = check.error or check.reason or _details(check)
        details = "as above" if words and words == told else words
        told = words
        table.add_row(
            check.name, Text(check.status, style=_STYLES[check.status]), _took(check), Text(details)
        )
    return table


def _took(check: HealthCheck) -> str:
    skipped = check.duration_ms is None or check.status is HealthStatus.SKIPPED
    return "" if skipped else f"{check.duration_ms:.0f} ms"


def _details(check: HealthCheck) -> str:
    return ", ".join(
        _detail(name, value)
        for name, value in check.details.items()
        if value is not None and name != "response_ms"
    )


def _detail(name: str, value: object) -> str:
    """`round_trip_ms`, 2.6 as `round trip: 3 ms`."""
    stem, _, unit = name.rpartition("_")
    if isinstance(value, bool):
        return f"{_words(name)}: {'yes' if value else 'no'}"
    if isinstance(value, int | float) and unit in _UNITS:
        divisor, form = _UNITS[unit]
        return f"{_words(stem)}: {form.format(value / divisor)}"
    return f"{_words(name)}: {value:,}" if isinstance(value, int) else f"{_words(name)}: {value}"


def _words(name: str) -> str:
    return name.removeprefix("is_").replace("24h", "in 24 h").replace("_", " ")


def _summary(report: HealthReport) -> str:
    took = "no connection" if report.response_time_ms is None else f"{report.response_time_ms:.0f} ms a call"
    server = f", Postgres {report.server_version}" if report.server_version else ""
    return f"{report.status.capitalize()}: {took}{server}, reelbase {report.version}."
