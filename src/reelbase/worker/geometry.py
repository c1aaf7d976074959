"""Where an element stands: pixels and percent to whole pixels, and a source's shape into a box."""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from reelbase.models import Element, FitMode
from reelbase.worker.errors import RenderError

# A frame of 64 megapixels with alpha takes 256 MB in ffmpeg; past that a typing error kills the worker.
_MAX_PIXELS = 64_000_000
_MAX_SIDE = 32_768

_LENGTH = re.compile(
    r"\s*(?P<number>[+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}))\s*(?P<unit>px|%)?\s*", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Size:
    """Whole pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Box:
    """A place on the canvas in whole pixels; the corner may lie outside it."""

    x: int
    y: int
    size: Size


def pixels(text: str, whole: int, name: str) -> Fraction:
    """Read `"640"`, `"640px"` or `"50%"` (of `whole`). `name` stands in the error, invalid_geometry."""
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise _invalid(name, text, "it must be pixels such as '640' or percent such as '50%'")
    number = Fraction(match["number"])
    return number * whole / 100 if match["unit"] == "%" else number


def side(text: str, whole: int, name: str) -> int:
    """A width or height: at least one pixel. Raises RenderError invalid_geometry."""
    length = pixels(text, whole, name)
    if length <= 0:
        raise _invalid(name, text, "it must be more than nothing")
    if length > _MAX_SIDE:
        raise _invalid(name, text, f"more than {_MAX_SIDE} pixels cannot be drawn")
    return _at_least_one(length)


def box_sides(element: Element, canvas: Size) -> tuple[int | None, int | None]:
    """The sides the element names, None for those its source decides."""
    width = None if element.width is None else side(element.width, canvas.width, "width")
    height = None if element.height is None else side(element.height, canvas.height, "height")
    return width, height


def corner(element: Element, canvas: Size) -> tuple[int, int]:
    return (
        rounded(pixels(element.x_position, canvas.width, "x_position")),
        rounded(pixels(element.y_position, canvas.height, "y_position")),
    )


def box(element: Element, canvas: Size, source: Size) -> Box:
    """The box of an element whose source has that size. Raises RenderError invalid_geometry."""
    width, height = box_sides(element, canvas)
    size = drawable(_completed(width, height, canvas, source))
    return Box(*corner(element, canvas), size)


def drawable(size: Size) -> Size:
    """The same size, unless it is too large to be drawn: RenderError invalid_geometry."""
    if size.width * size.height > _MAX_PIXELS:
        asked = f"{size.width}x{size.height}"
        raise RenderError("invalid_geometry", f"its box is {asked} pixels; that is too large to draw.")
    return size


def fitted(outer: Box, source: Size, fit: FitMode) -> Box:
    """What the picture covers inside its box: all of it, except for `contain` and `auto`."""
    if fit not in {FitMode.AUTO, FitMode.CONTAIN}:
        return outer
    inner = within(source, outer.size)
    return Box(
        outer.x + (outer.size.width - inner.width) // 2,
        outer.y + (outer.size.height - inner.height) // 2,
        inner,
    )


def within(source: Size, bounds: Size) -> Size:
    """The largest size of the source's shape inside the bounds."""
    return _scaled(source, min(Fraction(bounds.width, source.width), Fraction(bounds.height, source.height)))


def visible_part(source: Size, target: Size) -> tuple[Fraction, Fraction]:
    """The share of the source's width and height that remains when it covers the target."""
    ratio = Fraction(target.width * source.height, target.height * source.width)
    return min(ratio, Fraction(1)), min(1 / ratio, Fraction(1))


def rounded(value: Fraction) -> int:
    """To the nearest pixel, halves up, so that neighbours at 50% meet."""
    return floor(value + Fraction(1, 2))


def _completed(width: int | None, height: int | None, canvas: Size, source: Size) -> Size:
    if width is not None and height is not None:
        return Size(width, height)
    if width is not None:
        return Size(width, _at_least_one(Fraction(width * source.height, source.width)))
    if height is not None:
        return Size(_at_least_one(Fraction(height * source.width, source.height)), height)
    if source.width <= canvas.width and source.height <= canvas.height:
        return source
    return within(source, canvas)


def _scaled(size: Size, factor: Fraction) -> Size:
    return Size(_at_least_one(size.width * factor), _at_least_one(size.height * factor))


def _at_least_one(length: Fraction) -> int:
    return max(1, rounded(length))


def _invalid(name: str, text: str, reason: str) -> RenderError:
    return RenderError("invalid_geometry", f"{name} is {text!r}; {reason}.")
