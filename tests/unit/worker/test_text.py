from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reelbase.models import Element
from reelbase.worker import fonts, text
from reelbase.worker.errors import RenderError
from reelbase.worker.geometry import Size

CANVAS = Size(320, 180)
RED = (255, 0, 0, 255)

Drawn = Callable[..., Image.Image]


@pytest.fixture
def drawn(make_element: Callable[..., Element], tmp_path: Path) -> Drawn:
    def draw(content: str | None = "Hello", **columns: Any) -> Image.Image:
        element = make_element(type="text", source_url=None, text_content=content, **columns)
        with Image.open(text.draw(element, CANVAS, tmp_path / "text.png")) as image:
            image.load()
            return image

    return draw


def ink(image: Image.Image) -> tuple[int, int, int, int]:
    """What the letters cover: left, top, right, bottom."""
    box = image.getchannel("A").getbbox()
    assert box is not None
    return box


def test_draw__fills_its_box_and_no_more(drawn: Drawn) -> None:
    image = drawn(width="50%", height="40", text_style={"background": "#ff0000"})

    assert image.size == (160, 40)
    assert image.getpixel((0, 0)) == RED
    assert image.getpixel((159, 39)) == RED


def test_draw__is_as_large_as_its_text_without_a_box(drawn: Drawn) -> None:
    small, large = drawn("Hi"), drawn("Hi there")

    assert small.width < large.width < CANVAS.width
    assert small.height == large.height


def test_draw__breaks_lines_between_words(drawn: Drawn) -> None:
    one = drawn("word")
    three = drawn("word word word", width=str(one.width + 4))

    assert three.height == 3 * one.height


def test_draw__breaks_a_word_that_is_wider_than_its_box(drawn: Drawn) -> None:
    assert drawn("w" * 40, width="60").height > drawn("w").height


def test_draw__breaks_lines_at_the_edge_of_the_canvas(drawn: Drawn) -> None:
    image = drawn("word " * 12, x_position="50%")

    assert image.width <= CANVAS.width // 2


def test_draw__keeps_the_lines_of_its_text(drawn: Drawn) -> None:
    assert drawn("a\n\nb").height == 3 * drawn("a").height


def test_draw__never_grows_past_the_canvas(drawn: Drawn) -> None:
    assert drawn("a\n" * 500).height == CANVAS.height


@pytest.mark.parametrize(("align", "edge"), [("left", 0), ("right", 2)])
def test_draw__aligns_sideways(drawn: Drawn, align: str, edge: int) -> None:
    image = drawn(width="200", height="40", text_style={"align": align})

    assert abs(ink(image)[edge] - (0 if align == "left" else image.width)) <= 3


def test_draw__is_centred_unless_told_otherwise(drawn: Drawn) -> None:
    left, _, right, _ = ink(drawn(width="200", height="60"))

    assert abs(left - (200 - right)) <= 3


@pytest.mark.parametrize(("valign", "expected"), [("top", "above"), ("bottom", "below")])
def test_draw__aligns_upright(drawn: Drawn, valign: str, expected: str) -> None:
    _, top, _, bottom = ink(drawn(width="200", height="100", text_style={"valign": valign}))

    assert ("above" if bottom < 50 else "below" if top > 50 else "between") == expected


def test_draw__keeps_its_padding(drawn: Drawn) -> None:
    style = {"align": "left", "valign": "top", "padding": 20}

    left, top, _, _ = ink(drawn(width="200", height="100", text_style=style))

    assert left >= 20
    assert top >= 20


def test_draw__size_in_percent_is_of_the_height_of_the_canvas(drawn: Drawn) -> None:
    assert drawn(text_style={"size": "20%"}).size == drawn(text_style={"size": 36}).size


def test_draw__colours_letters_and_their_outline(drawn: Drawn) -> None:
    style = {"size": 60, "color": "#00ff00", "stroke_color": "blue", "stroke_width": 4}

    colours = {colour for _, colour in drawn(text_style=style).getcolors(100_000)}

    assert {(0, 255, 0, 255), (0, 0, 255, 255)} <= colours


def test_draw__lets_the_background_shine_through(drawn: Drawn) -> None:
    image = drawn(width="100", height="50", text_style={"background": "rgba(255, 0, 0, 0.5)"})

    assert image.getpixel((0, 0)) == (255, 0, 0, 128)


def test_draw__spreads_lines(drawn: Drawn) -> None:
    assert drawn("a\nb", text_style={"line_spacing": 2}).height == 2 * drawn("a\nb").height


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("colour", "red"),
        ("color", "reddish"),
        ("size", True),
        ("size", "-1"),
        ("size", "9000"),
        ("padding", "1e9"),
        ("align", "justify"),
        ("line_spacing", 0),
        ("line_spacing", float("nan")),
        ("font", 7),
    ],
)
def test_draw__names_what_is_wrong_in_a_style(drawn: Drawn, key: str, value: object) -> None:
    with pytest.raises(RenderError, match=rf"Element 1 .*text_style\.{key}") as caught:
        drawn(text_style={key: value})

    assert caught.value.code in {"invalid_text_style", "invalid_geometry"}


@pytest.mark.parametrize("content", [None, "", " \n ", "a" * 10_001])
def test_draw__needs_a_text_of_some_length(drawn: Drawn, content: str | None) -> None:
    with pytest.raises(RenderError) as caught:
        drawn(content)

    assert caught.value.code == "missing_text"


@pytest.mark.parametrize("name", ["No Such Family", "/etc/passwd", "../x.ttf", "pyproject.toml", "", None])
def test_font__is_always_found(name: str | None) -> None:
    assert fonts.font(name, 20).getlength("text") > 0


def test_font__may_be_a_file(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")

    assert fonts.font(str(broken), 20).getname() == fonts.font(None, 20).getname()
