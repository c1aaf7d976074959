from hypothesis import given
from hypothesis import strategies as st

from localbase.realtime.commits import with_epoch

HALF = 2**31


@given(near=st.integers(3, 2**50), distance=st.integers(-HALF + 1, HALF - 1))
def test_epoch__is_the_one_that_makes_the_numbers_neighbours(near: int, distance: int) -> None:
    full = near + distance
    if full >= 0:
        assert with_epoch(full % 2**32, near) == full
