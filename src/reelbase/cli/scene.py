"""What the demo's video shows."""

import mimetypes
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote, urlsplit

from reelbase.models import ElementSpec, ElementType, FitMode
from reelbase.worker.errors import RenderError
from reelbase.worker.media import probe

_LONGEST = 20.0
_TITLE_STYLE = {
    "size": "7%",
    "color": "white",
    "stroke_width": 3,
    "stroke_color": "black",
    "align": "center",
}
_TITLE = ElementSpec(
    type=ElementType.TEXT,
    text_content="Rendered by reelbase",
    text_style=_TITLE_STYLE,
    track=2,
    x_position="0%",
    y_position="82%",
    width="100%",
    height="14%",
)


def showcase(background: Path, inset: Path, picture: Path) -> list[ElementSpec]:
    """A clip over everything, a second one in a corner by percent, a picture by pixels, and a title."""
    return [
        ElementSpec(
            type=ElementType.VIDEO,
            source_url=_url(background),
            width="100%",
            height="100%",
            fit_mode=FitMode.COVER,
        ),
        ElementSpec(
            type=ElementType.VIDEO,
            source_url=_url(inset),
            track=1,
            x_position="62%",
            y_position="8%",
            width="32%",
            height="32%",
            start_time=Decimal("0.5"),
        ),
        ElementSpec(
            type=ElementType.IMAGE,
            source_url=_url(picture),
            track=1,
            x_position="60px",
            y_position="60px",
            width="240px",
            height="240px",
            fit_mode=FitMode.COVER,
            start_time=Decimal(1),
        ),
        _TITLE,
    ]


def arranged(sources: Sequence[Path]) -> list[ElementSpec]:
    """The user's files side by side in a grid, under a title."""
    columns = next(n for n in range(1, len(sources) + 1) if n * n >= len(sources))
    rows = -(-len(sources) // columns)
    tiles = [
        ElementSpec(
            type=_kind(source),
            source_url=_url(source),
            x_position=_percent(place % columns, columns),
            y_position=_percent(place // columns, rows),
            width=_percent(1, columns),
            height=_percent(1, rows),
            fit_mode=FitMode.CONTAIN,
        )
        for place, source in enumerate(sources)
    ]
    return [*tiles, _TITLE]


def length(elements: Sequence[ElementSpec]) -> float | None:
    """Seconds to the end of the last clip, at most twenty; None when no source tells. Reads the files."""
    ends = [end for element in elements if (end := _end(element)) is not None]
    return min(max(ends), _LONGEST) if ends else None


def directories(elements: Sequence[ElementSpec]) -> set[Path]:
    """Where the sources lie."""
    return {local_path(element.source_url).parent for element in elements if element.source_url}


def local_path(url: str) -> Path:
    """The path of a `file:` URL."""
    return Path(unquote(urlsplit(url).path))


def _url(path: Path) -> str:
    return path.expanduser().resolve().as_uri()


def _kind(source: Path) -> ElementType:
    """What the file's name says; what it holds is the worker's to find out."""
    kind = (mimetypes.guess_type(source.name)[0] or "").partition("/")[0]
    return ElementType(kind) if kind in {"image", "audio"} else ElementType.VIDEO


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.4f}%"


def _end(element: ElementSpec) -> float | None:
    if element.source_url is None:
        return None
    try:
        duration = probe(local_path(element.source_url)).duration
    except RenderError:
        return None  # the worker will say what is wrong with it, where everybody can read it
    return None if duration is None else duration + float(element.start_time or 0)
