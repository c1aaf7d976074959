"""When to try again: which errors pass, and the delays between attempts."""

import random
from collections.abc import Iterator

from reelbase.errors import CallTimeout, ReelbaseError, ServerFault


def passes(error: ReelbaseError) -> bool:
    """Whether what went wrong may be over some time.

    More than a call repeats: a statement's time limit, and whatever fault of the server's own.
    """
    return error.transient or isinstance(error, CallTimeout | ServerFault)


def backoff(
    first: float = 0.5, longest: float = 30.0, factor: float = 2.0, *, chance: random.Random | None = None
) -> Iterator[float]:
    """Seconds to wait before each next attempt, for ever: growing, with full jitter above a tenth."""
    uniform = random.uniform if chance is None else chance.uniform
    ceiling = min(first, longest)
    while True:
        yield uniform(ceiling / 10, ceiling)
        ceiling = min(ceiling * factor, longest)
