"""Rates and lags of a callback."""

from reelbase.realtime.pace import Pace


def test_rate__is_of_the_last_minute() -> None:
    pace = Pace(1000.0)
    for number in range(300):
        pace.count(1000.0 + number, 0.5)

    assert pace.rate(1299.5) == 1.0
    assert pace.rate(1329.5) == 0.5
    assert pace.rate(2000.0) == 0.0


def test_rate__of_a_young_subscription_is_of_its_life() -> None:
    pace = Pace(0.0)
    for _ in range(10):
        pace.count(0.2, 0.0)

    assert pace.rate(0.3) == 10.0
    assert pace.rate(5.0) == 2.0


def test_lag__is_the_newest_and_what_most_do_not_exceed() -> None:
    pace = Pace(0.0)
    assert (pace.lag(), pace.lag_p95()) == (None, None)
    pace.count(0.0, 3.0)
    assert (pace.lag(), pace.lag_p95()) == (3.0, 3.0)
    for number in range(1, 101):
        pace.count(1.0, float(number))

    assert pace.lag() == 100.0
    assert pace.lag_p95() == 95.0
