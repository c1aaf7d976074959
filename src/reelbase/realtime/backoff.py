"""Delays between attempts."""

import random
from collections.abc import Iterator


def backoff(first: float = 0.5, longest: float = 30.0, factor: float = 2.0) -> Iterator[float]:
    """Seconds to wait before each next attempt, for ever: growing, with full jitter above a tenth."""
    ceiling = first
    while True:
        yield random.uniform(ceiling / 10, ceiling)  # noqa: S311  # spreads load, guards nothing
        ceiling = min(ceiling * factor, longest)
