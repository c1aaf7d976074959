import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelbase.worker.colors import color


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("white", (255, 255, 255, 255)),
        ("transparent", (0, 0, 0, 0)),
        (" #F00 ", (255, 0, 0, 255)),
        ("#ff000080", (255, 0, 0, 128)),
        ("rgb(1, 2, 3)", (1, 2, 3, 255)),
        ("rgb(999, 0, 0)", (255, 0, 0, 255)),
        ("rgba(0, 0, 0, 1)", (0, 0, 0, 255)),
        ("rgba(0, 0, 0, .5)", (0, 0, 0, 128)),
        ("hsla(120, 100%, 50%, 25%)", (0, 255, 0, 64)),
    ],
)
def test_color__reads_css(text: str, expected: tuple[int, int, int, int]) -> None:
    assert color(text) == expected


@pytest.mark.parametrize("value", ["", "whitish", "#12", "rgba(0,0,0,x)", "rgba(0,0,0,)", 7, None])
def test_color__refuses_the_rest(value: object) -> None:
    with pytest.raises(ValueError, match=r".+"):
        color(value)


@given(st.tuples(*[st.integers(0, 255)] * 4))
def test_color__hexadecimal_is_exact(channels: tuple[int, int, int, int]) -> None:
    assert color(f"#{bytes(channels).hex()}") == channels
