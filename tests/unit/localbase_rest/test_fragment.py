"""SQL whose text and values keep in step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localbase.rest.errors import ApiError
from localbase.rest.fragment import bound, clause, fragment, joined, name

names = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1)


def test_values_are_in_the_order_of_their_places() -> None:
    inner = fragment("{} = {}", name("b"), bound("2"))

    whole = fragment("{} or {} or {}", bound("1"), inner, joined(", ", [bound("3"), bound("4")]))

    assert whole.as_bytes() == b'%s or "b" = %s or %s, %s'
    assert whole.values == ("1", "2", "3", "4")


def test_a_clause_of_nothing_is_nothing() -> None:
    assert clause(" where", " and ", []).as_bytes() == b""
    assert clause(" where", " and ", [name("a"), name("b")]).as_bytes() == b' where "a" and "b"'


@given(names)
def test_names_cannot_leave_their_quotes(text: str) -> None:
    written = name(text).as_bytes().decode()

    assert written[0] == written[-1] == '"'
    assert written[1:-1].replace('""', "").count('"') == 0
    assert written.count("%") == 2 * text.count("%")


def test_what_postgres_has_no_character_for() -> None:
    with pytest.raises(ApiError):
        bound("a\0b")
