"""Delays between attempts."""

import random
from collections.abc import Iterator


def backoff(
    first: float = 0.5, longest: float = 30.0, factor: float = 2.0, *, chance: random.Random | None = None
) -> Iterator[float]:
    """Seconds to wait before each next attempt, for ever: growing, with full jitter above a tenth."""
    uniform = random.uniform if chance is None else chance.uniform
    ceiling = min(first, longest)
    while True:
        yield uniform(ceiling / 10, ceiling)
        ceiling = min(ceiling * factor, longest)
