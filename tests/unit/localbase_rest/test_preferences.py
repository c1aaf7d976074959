"""The Prefer header."""

import pytest

from localbase.rest.errors import ApiError
from localbase.rest.preferences import Preferences


def _preferences(*headers: str) -> Preferences:
    return Preferences.from_headers(headers, {"Europe/Oslo"}.__contains__)


def test_the_first_of_each_kind_counts() -> None:
    preferences = _preferences("count=exact,  return=minimal", "count=planned, timezone=Europe/Oslo")

    assert preferences == Preferences(count="exact", representation="minimal", timezone="Europe/Oslo")


def test_applied_in_a_fixed_order() -> None:
    preferences = _preferences("handling=strict, max-affected=3, return=representation, missing=default")

    met = preferences.applied("max-affected", "return", "missing", "handling")

    assert met == [
        ("Preference-Applied", "missing=default, return=representation, handling=strict, max-affected=3")
    ]
    assert preferences.applied("count") == []


def test_max_affected_needs_strict_handling() -> None:
    assert _preferences("max-affected=3").most_affected is None
    assert _preferences("max-affected=3, handling=strict").most_affected == 3


def test_only_strict_clients_mind_what_is_unknown() -> None:
    _preferences("timezone=Mars/Base, anything").check()

    with pytest.raises(ApiError) as raised:
        _preferences("handling=strict, timezone=Mars/Base, anything").check()

    assert raised.value.details == "Invalid preferences: timezone=Mars/Base, anything"
