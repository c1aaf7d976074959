"""Text drawn with Pillow to a picture of its box, so that any build of ffmpeg can show it.

The text never reaches ffmpeg, and so need not be escaped for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Literal

from PIL import Image, ImageDraw
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from reelbase.models import Element
from reelbase.worker import geometry
from reelbase.worker.colors import Color, color
from reelbase.worker.errors import RenderError, about
from reelbase.worker.fonts import Font, font
from reelbase.worker.geometry import Size

_LONGEST = 10_000
_LARGEST = 2_000


def _length(value: object) -> str:
    """Pixels may be a number in JSON; percent is text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be pixels such as 48 or percent such as '5%'")  # noqa: TRY004 # as pydantic asks
    return str(value)


Length = Annotated[str, BeforeValidator(_length)]
Paint = Annotated[Color, BeforeValidator(color)]


class TextStyle(BaseModel):
    """What `text_style` may say. Lengths are pixels, or percent of the output's height.

    `font` is a family's name or the path of a font file; where it is not found, DejaVu Sans takes its
    place, then the font that Pillow carries. `line_spacing` is a factor.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    font: str | None = Field(default=None, max_length=1_000)
    size: Length = "6%"
    color: Paint = (255, 255, 255, 255)
    background: Paint = (0, 0, 0, 0)
    align: Literal["left", "center", "right"] = "center"
    valign: Literal["top", "middle", "center", "bottom"] = "middle"
    padding: Length = "0"
    stroke_width: Length = "0"
    stroke_color: Paint = (0, 0, 0, 255)
    line_spacing: float = Field(default=1.0, ge=0.5, le=5)


@dataclass(frozen=True, slots=True)
class _Brush:
    """A style in pixels of one canvas."""

    style: TextStyle
    font: Font
    padding: int
    stroke: int

    @property
    def line_height(self) -> int:
        ascent, descent = self.font.getmetrics()
        return max(1, round((ascent + descent) * self.style.line_spacing))

    @property
    def border(self) -> int:
        """What surrounds the text on each side."""
        return self.padding + self.stroke

    def width(self, text: str) -> float:
        return self.font.getlength(text)


def draw(element: Element, canvas: Size, path: Path) -> Path:
    """Draw a text element to a PNG of its box, or as large as the text where the box has no size.

    Lines are broken at the box's width, else at the canvas's right edge. What does not fit is cut off.
    Blocks: call it from a thread. Raises RenderError: missing_text, invalid_text_style, invalid_geometry.
    """
    with about(element):
        text, brush = _text(element), _brush(_style(element), canvas)
        width, height = geometry.box_sides(element, canvas)
        lines = list(_wrapped(text, (width or _room(element, canvas)) - 2 * brush.border, brush))
        natural = _natural(lines, brush, canvas)
        size = Size(width or natural.width, height or natural.height)
        _picture(lines, brush, geometry.drawable(size)).save(path, "PNG")
    return path


def _text(element: Element) -> str:
    text = (element.text_content or "").strip("\n")
    if not text.strip():
        raise RenderError("missing_text", "it has no text.")
    if len(text) > _LONGEST:
        raise RenderError("missing_text", f"its text has {len(text)} characters; {_LONGEST} can be drawn.")
    return text.expandtabs(4)


def _style(element: Element) -> TextStyle:
    try:
        return TextStyle.model_validate(element.text_style)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise RenderError("invalid_text_style", f"text_style.{key}: {first['msg']}.") from error


def _brush(style: TextStyle, canvas: Size) -> _Brush:
    return _Brush(
        style,
        font(style.font, max(1, _pixels(style.size, canvas, "size"))),
        padding=_pixels(style.padding, canvas, "padding"),
        stroke=_pixels(style.stroke_width, canvas, "stroke_width"),
    )


def _pixels(text: str, canvas: Size, key: str) -> int:
    length = geometry.pixels(text, canvas.height, f"text_style.{key}")
    if not 0 <= length <= _LARGEST:
        reason = f"text_style.{key} is {text!r}; it must be from 0 to {_LARGEST} pixels."
        raise RenderError("invalid_text_style", reason)
    return geometry.rounded(length)


def _room(element: Element, canvas: Size) -> int:
    """From the element's corner to the canvas's right edge; all of it for one that stands outside."""
    x, _ = geometry.corner(element, canvas)
    return canvas.width - x if 0 <= x < canvas.width else canvas.width


def _natural(lines: list[str], brush: _Brush, canvas: Size) -> Size:
    width = max(brush.width(line) for line in lines)
    height = len(lines) * brush.line_height + 2 * brush.border
    return Size(max(1, ceil(width) + 2 * brush.border), max(1, min(height, canvas.height)))


def _wrapped(text: str, room: int, brush: _Brush) -> Iterator[str]:
    for paragraph in text.splitlines():
        yield from _lines(paragraph, room, brush)


def _lines(paragraph: str, room: int, brush: _Brush) -> Iterator[str]:
    line = ""
    for word in paragraph.split(" "):
        longer = f"{line} {word}" if line else word
        if brush.width(longer) <= room:
            line = longer
            continue
        if line:
            yield line
        *whole, line = _pieces(word, room, brush)
        yield from whole
    yield line


def _pieces(word: str, room: int, brush: _Brush) -> Iterator[str]:
    """A word wider than the box is broken where the box ends, a character a line at the least."""
    piece = ""
    for character in word:
        if piece and brush.width(piece + character) > room:
            yield piece
            piece = ""
        piece += character
    yield piece


def _picture(lines: list[str], brush: _Brush, size: Size) -> Image.Image:
    style = brush.style
    image = Image.new("RGBA", (size.width, size.height), style.background)
    # Drawn apart and laid over: ImageDraw would replace the background's opacity by the letters'.
    letters = Image.new("RGBA", image.size, (*style.color[:3], 0))
    pen = ImageDraw.Draw(letters)
    top = _top(len(lines) * brush.line_height, brush, size)
    for number, line in enumerate(lines):
        place = (_left(brush.width(line), brush, size), top + number * brush.line_height)
        pen.text(
            place,
            line,
            fill=style.color,
            font=brush.font,
            stroke_width=brush.stroke,
            stroke_fill=style.stroke_color,
        )
    return Image.alpha_composite(image, letters)


def _left(width: float, brush: _Brush, size: Size) -> float:
    return _aligned({"left": 0.0, "right": 1.0}.get(brush.style.align, 0.5), width, size.width, brush.border)


def _top(height: int, brush: _Brush, size: Size) -> float:
    return _aligned(
        {"top": 0.0, "bottom": 1.0}.get(brush.style.valign, 0.5), height, size.height, brush.border
    )


def _aligned(share: float, length: float, whole: int, border: int) -> float:
    """Where something begins in a box; what is longer than the box begins at its border."""
    return border + max(0.0, (whole - 2 * border - length) * share)
