"""Finding a font: the one asked for, one that many systems have, one that is always there."""

import re
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

Font = ImageFont.FreeTypeFont

_FALLBACK = "DejaVuSans"
_FILES = frozenset({".ttf", ".otf", ".ttc"})
_FAMILY = re.compile(r"\w[\w .-]*")


@lru_cache(maxsize=64)
def font(wanted: str | None, size: int) -> Font:
    """The family or font file at that size in pixels, or the nearest fallback."""
    for name in (*_names(wanted), _FALLBACK):
        found = _loaded(name, size)
        if found is not None:
            return found
    return _built_in(size)


def _names(wanted: str | None) -> tuple[str, ...]:
    """What Pillow may look for: `Open Sans` is usually OpenSans-Regular.ttf."""
    if not wanted:
        return ()
    if Path(wanted).suffix.lower() in _FILES:
        return (wanted,)
    # Pillow opens what it is given before it looks where fonts are; a name must not be another file.
    if not _FAMILY.fullmatch(wanted) or Path(wanted).exists():
        return ()
    joined = wanted.replace(" ", "")
    return wanted, joined, f"{joined}-Regular"


def _loaded(name: str, size: int) -> Font | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None  # not on this system; the next name may be


def _built_in(size: int) -> Font:
    found = ImageFont.load_default(size)
    if not isinstance(found, Font):
        raise TypeError("Pillow was built without FreeType and cannot draw text")
    return found
