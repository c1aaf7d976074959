from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelbase.models import Element, FitMode
from reelbase.worker.errors import RenderError
from reelbase.worker.geometry import Box, Size, box, fitted, pixels, rounded, side, visible_part, within

CANVAS = Size(320, 180)
sides = st.integers(1, 4000)
sizes = st.builds(Size, sides, sides)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("640", 640),
        ("640px", 640),
        (" 12.5 ", Fraction("12.5")),
        ("50%", 160),
        ("-10%", -32),
        ("+3", 3),
        (".5", Fraction("0.5")),
        ("33.3 %", Fraction("106.56")),
    ],
)
def test_pixels__reads(text: str, expected: Fraction) -> None:
    assert pixels(text, 320, "x_position") == expected


@pytest.mark.parametrize(
    "text", ["", "px", "%", "1e3", "nan", "inf", "10em", "1 2", "--1", "1;2", "٣", "5%%"]
)
def test_pixels__refuses_what_is_no_length(text: str) -> None:
    with pytest.raises(RenderError) as caught:
        pixels(text, 320, "x_position")

    assert caught.value.code == "invalid_geometry"
    assert "x_position" in caught.value.message


@given(st.text(alphabet="0123456789.+-px% e٣\n", max_size=12))
def test_side__any_text_is_a_side_that_can_be_drawn_or_an_invalid_geometry(text: str) -> None:
    try:
        drawn = side(text, 320, "width")
    except RenderError:
        return

    assert 1 <= drawn <= 32_768


@given(st.decimals(min_value=-1000, max_value=1000, places=3), sides)
def test_pixels__percent_is_a_share_of_the_whole(share: Fraction, whole: int) -> None:
    assert pixels(f"{share}%", whole, "width") == Fraction(share) * whole / 100


@pytest.mark.parametrize("text", ["0", "-1", "0%", "40000", "99999%"])
def test_side__refuses_nothing_and_too_much(text: str) -> None:
    with pytest.raises(RenderError, match="height"):
        side(text, 180, "height")


def test_side__is_one_pixel_at_the_least() -> None:
    assert side("0.1", 180, "height") == 1


def test_rounded__halves_go_up_so_that_neighbours_meet() -> None:
    assert [rounded(Fraction(n, 2)) for n in (-1, 1, 3)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("sides", "source", "expected"),
    [
        ({}, Size(100, 50), Size(100, 50)),
        ({}, Size(640, 360), Size(320, 180)),
        ({}, Size(100, 360), Size(50, 180)),
        ({"width": "50%"}, Size(640, 480), Size(160, 120)),
        ({"height": "90"}, Size(640, 480), Size(120, 90)),
        ({"width": "10", "height": "100%"}, Size(640, 480), Size(10, 180)),
        ({"width": "10"}, Size(4000, 1), Size(10, 1)),
    ],
)
def test_box__missing_sides_come_from_the_source(
    make_element: Callable[..., Element], sides: dict[str, str], source: Size, expected: Size
) -> None:
    assert box(make_element(**sides), CANVAS, source).size == expected


def test_box__stands_where_the_element_says(make_element: Callable[..., Element]) -> None:
    placed = box(make_element(x_position="-5", y_position="50%"), CANVAS, Size(10, 10))

    assert (placed.x, placed.y) == (-5, 90)


def test_box__refuses_a_picture_no_machine_can_hold(make_element: Callable[..., Element]) -> None:
    with pytest.raises(RenderError, match="too large"):
        box(make_element(width="30000", height="30000"), CANVAS, Size(10, 10))


@given(sizes, sizes)
def test_within__touches_the_bounds_and_stays_inside(source: Size, bounds: Size) -> None:
    inner = within(source, bounds)

    assert inner.width <= bounds.width
    assert inner.height <= bounds.height
    assert inner.width == bounds.width or inner.height == bounds.height


@given(sizes, sizes)
def test_fitted__is_centred_in_its_box(source: Size, bounds: Size) -> None:
    outer = Box(7, -3, bounds)

    inner = fitted(outer, source, FitMode.AUTO)

    assert 0 <= (bounds.width - inner.size.width) - 2 * (inner.x - outer.x) <= 1
    assert 0 <= (bounds.height - inner.size.height) - 2 * (inner.y - outer.y) <= 1


@pytest.mark.parametrize("fit", [FitMode.COVER, FitMode.FILL, FitMode.STRETCH])
def test_fitted__the_others_fill_the_box(fit: FitMode) -> None:
    outer = Box(7, -3, Size(50, 60))

    assert fitted(outer, Size(4, 3), fit) == outer


@given(sizes, sizes)
def test_visible_part__has_the_shape_of_the_target(source: Size, target: Size) -> None:
    width, height = visible_part(source, target)

    assert max(width, height) == 1
    assert Fraction(target.width, target.height) == (width * source.width) / (height * source.height)
