"""Reading past the cache."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

bypassed: ContextVar[bool] = ContextVar("reelbase_cache_bypassed", default=False)


@contextmanager
def bypass() -> Iterator[None]:
    """Whatever is read inside comes from the database. What is written still invalidates."""
    token = bypassed.set(True)
    try:
        yield
    finally:
        bypassed.reset(token)
