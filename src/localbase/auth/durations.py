"""Durations as Go writes them, such as 1h30m: how bans are given."""

import re
from datetime import timedelta
from decimal import Decimal

_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_WHOLE = re.compile(rf"[+-]?(?:0|(?:{_PART.pattern})+)", re.ASCII)
_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
# Go counts nanoseconds in 64 bits.
_LONGEST_S = Decimal(2**63 - 1) * _SECONDS["ns"]


def parse_duration(text: str) -> timedelta:
    """Raises ValueError."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'time: invalid duration "{text}"')
    seconds = sum((Decimal(count) * _SECONDS[unit] for count, unit in _PART.findall(text)), Decimal(0))
    if seconds > _LONGEST_S:
        raise ValueError(f'time: invalid duration "{text}"')
    return timedelta(seconds=float(-seconds if text.startswith("-") else seconds))
