"""Delays grow, up to a ceiling, for ever."""

from itertools import islice

from reelbase.realtime.backoff import backoff


def test_backoff__stays_between_a_tenth_and_the_whole_of_its_ceiling() -> None:
    ceilings = [1, 2, 4, 5, 5, 5]

    for ceiling, delay in zip(ceilings, islice(backoff(first=1, longest=5), 6), strict=True):
        assert ceiling / 10 <= delay <= ceiling
