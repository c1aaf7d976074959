"""Pages of a list."""

import pytest

from localbase.auth.errors import AuthError
from localbase.auth.pages import Page, read_page


def test_without_parameters_it_is_the_first_page() -> None:
    assert read_page({}) == read_page({"page": "", "per_page": ""}) == Page(1, 50)


def test_headers_lead_to_the_next_and_the_last_page() -> None:
    headers = Page(2, 10).headers("/users", {"page": "2", "per_page": "10", "apikey": "key"}, total=35)

    assert headers == {
        "Link": '</users?page=3&per_page=10>; rel="next", </users?page=4&per_page=10>; rel="last"',
        "X-Total-Count": "35",
    }


def test_the_last_page_has_no_next_one() -> None:
    assert 'rel="next"' not in Page(4, 10).headers("/admin/users", {}, total=35)["Link"]


@pytest.mark.parametrize("text", ["-1", "x", "1.5", "²", "18446744073709551616", "9" * 5000])
def test_what_is_no_page(text: str) -> None:
    with pytest.raises(AuthError, match="Bad Pagination Parameters"):
        read_page({"page": text})


def test_a_page_holds_something() -> None:
    with pytest.raises(AuthError, match="per_page must be greater than 0"):
        read_page({"per_page": "0"})


def test_far_pages_stay_in_range() -> None:
    page = read_page({"page": "18446744073709551615", "per_page": "18446744073709551615"})

    assert page.limit == page.offset == 2**63 - 1
