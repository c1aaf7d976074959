"""One cached result for many readers."""

from cache_rows import a_job
from reelbase import JobPage
from reelbase.cache.values import fresh, size


def test_fresh__is_equal_and_shares_nothing_that_can_be_changed() -> None:
    job = a_job()

    again = fresh(job)
    again.metadata["campaign"].append("autumn")
    again.error_details["added"] = 1

    assert job.metadata == {"campaign": ["spring"]}
    assert job.error_details == {}
    assert fresh(job) == job
    assert fresh(job).model_fields_set == job.model_fields_set


def test_fresh__reaches_into_pages_and_lists() -> None:
    page = JobPage(items=(a_job(), a_job()), next_cursor=None)

    fresh(page).items[1].metadata.clear()
    listed = [page]
    fresh(listed).clear()

    assert page.items[1].metadata == {"campaign": ["spring"]}
    assert listed == [page]


def test_fresh__is_the_value_itself_where_nothing_can_be_changed() -> None:
    page = JobPage(items=(), next_cursor="x")

    assert fresh(page) is page
    assert fresh("text") == "text"


def test_size__grows_with_what_is_inside() -> None:
    small, large = a_job(), a_job(metadata={"text": "x" * 10_000})

    assert 500 < size(small) < size(large) - 9_000
    assert size([small, small]) > 2 * size(small)
