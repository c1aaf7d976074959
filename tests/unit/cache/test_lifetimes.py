"""For how long what is cached."""

import pytest

from cache_rows import a_job
from reelbase import JobDetails, Lifetimes

LIFETIMES = Lifetimes(final=1, failed=2, running=3, lists=4, statistics=5)


@pytest.mark.parametrize(
    ("status", "is_terminal", "seconds"),
    [
        ("pending", False, 3),
        ("processing", False, 3),
        ("completed", True, 1),
        ("cancelled", True, 1),
        ("failed", True, 2),
        ("timeout", True, 2),
        ("of_a_newer_database", False, 3),
        ("of_a_newer_database", True, 1),
    ],
)
def test_jobs__live_by_their_status(status: str, is_terminal: bool, seconds: float) -> None:
    job = a_job(status=status, is_terminal=is_terminal)
    details = JobDetails(
        job=job,
        elements=(),
        timeline=(),
        storage_operations=(),
        claims=None,
        url_accesses=None,
        bytes_served=None,
    )

    assert LIFETIMES.of(("job", job.id), job) == seconds
    assert LIFETIMES.of(("job", job.id), details) == seconds


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [("jobs", 4), ("elements", 4), ("timeline", 4), ("queue", 4), ("statistics", 5), ("job", 3)],
)
def test_others__live_by_what_they_are(kind: str, seconds: float) -> None:
    assert LIFETIMES.cover((kind,))
    assert LIFETIMES.of((kind,), object()) == seconds


@pytest.mark.parametrize(
    "kind", ["events", "caller", "consumers", "health", "schema", "security_events", "something_new"]
)
def test_what_must_be_true_now__is_never_cached(kind: str) -> None:
    assert not LIFETIMES.cover((kind,))


def test_zero__keeps_it_out() -> None:
    assert not Lifetimes(lists=0).cover(("jobs",))


def test_less_than_zero__is_refused() -> None:
    with pytest.raises(ValueError, match="lists is a number of seconds"):
        Lifetimes(lists=-1)
