import pytest

from localbase.rest.fuzzy import nearest

NAMES = ["shops", "shop_members", "orders", "order_lines"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("shopz", "shops"), ("SHOPS", "shops"), ("order_line", "order_lines"), ("qqqzzz", None)],
)
def test_nearest_name(given: str, meant: str | None) -> None:
    assert nearest(given, NAMES) == meant


def test_nothing_is_near_in_an_empty_set() -> None:
    assert nearest("anything", []) is None
