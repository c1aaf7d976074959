"""Colours as CSS writes them."""

import re

from PIL import ImageColor

Color = tuple[int, int, int, int]

_WITH_ALPHA = re.compile(r"(?P<space>rgb|hsl)a?\((?P<parts>[^,]+,[^,]+,[^,]+),(?P<alpha>[^,]+)\)", re.ASCII)
_ALPHA = re.compile(r"(?P<number>\d{0,3}(?:\.\d{1,9})?)(?P<percent>%?)", re.ASCII)
_FULL = 255


def color(value: object) -> Color:
    """Red, green, blue and opacity, 0 to 255 each. Raises ValueError.

    Names, `transparent`, `#rgb`, `#rgba`, `#rrggbb`, `#rrggbbaa`, `rgb()`, `rgba()`, `hsl()`, `hsla()`.
    """
    if not isinstance(value, str):
        raise ValueError("must be a CSS colour such as '#ffcc00' or 'white'")  # noqa: TRY004 # one kind of error
    text = value.strip().lower()
    if text == "transparent":
        return 0, 0, 0, 0
    match = _WITH_ALPHA.fullmatch(text)
    if match is None:
        return _solid(text)
    red, green, blue, _ = _solid(f"{match['space']}({match['parts']})")
    return red, green, blue, _opacity(match["alpha"].strip())


def _solid(text: str) -> Color:
    red, green, blue, *alpha = ImageColor.getrgb(text)
    return _byte(red), _byte(green), _byte(blue), alpha[0] if alpha else _FULL


def _opacity(text: str) -> int:
    match = _ALPHA.fullmatch(text)
    if match is None or not match["number"]:
        raise ValueError(f"{text!r} is no opacity; it must be from 0 to 1 or percent")
    share = float(match["number"]) / (100 if match["percent"] else 1)
    return _byte(round(share * _FULL))


def _byte(value: int) -> int:
    return max(0, min(_FULL, value))
