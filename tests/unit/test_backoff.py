"""Delays grow, up to a ceiling, for ever; what passes is waited out."""

from itertools import islice

import pytest

from reelbase import CallTimeout, NotFound, PermissionDenied, ReelbaseError, ServerFault
from reelbase.errors import Answer
from reelbase.execution.translation import _statement_timeout
from reelbase.realtime.backoff import backoff, passes


def test_backoff__stays_between_a_tenth_and_the_whole_of_its_ceiling() -> None:
    ceilings = [1, 2, 4, 5, 5, 5]

    for ceiling, delay in zip(ceilings, islice(backoff(first=1, longest=5), 6), strict=True):
        assert ceiling / 10 <= delay <= ceiling


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_statement_timeout(Answer("canceling statement", sqlstate="57014")), True),
        (CallTimeout("no answer"), True),
        (ServerFault(Answer("internal", sqlstate="XX000")), True),
        (ServerFault(Answer("", status=503)), True),
        (NotFound(Answer("", error="not_found")), False),
        (PermissionDenied(Answer("")), False),
    ],
)
def test_passes__is_what_a_stream_outlasts(error: ReelbaseError, expected: bool) -> None:
    assert passes(error) is expected
