"""The visual half of a filter graph: a ground, and the elements laid on it one by one.

The canvas has the job's size, frame rate and a black ground; the first picture given lies lowest.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from reelbase.models import Element, FitMode
from reelbase.worker import geometry
from reelbase.worker.errors import about
from reelbase.worker.filters import Chain, Filter, decimal, filter_
from reelbase.worker.formats import OutputFormat
from reelbase.worker.geometry import Box, Size
from reelbase.worker.media import MediaKind
from reelbase.worker.takes import Clock, Take

# One colour space for every layer: sources come in several, and overlay mixes numbers, not colours.
_COLOURS = {"range": "tv", "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}

# Colour for every pixel, so that an element at an odd position stands exactly there.
_CANVAS_PIXELS = "yuv444p"
_LAYER_PIXELS = "yuva444p"


def picture_chains(
    pictures: Sequence[Take], canvas: Size, clock: Clock, chosen: OutputFormat
) -> Iterator[Chain]:
    yield Chain((), _ground(canvas, clock), ("canvas0",))
    for level, take in enumerate(pictures):
        with about(take.element):
            yield from _placed(take, canvas, clock, level)
    yield from chosen.finish(f"canvas{len(pictures)}", "video")


def _ground(canvas: Size, clock: Clock) -> tuple[Filter, ...]:
    # Half a frame less than the length: the source stops before the first frame that is not wanted.
    length = clock.seconds(clock.total - Fraction(1, 2))
    size = f"{canvas.width}x{canvas.height}"
    return (
        filter_("color", color="black", size=size, rate=_ratio(clock.fps), duration=length),
        filter_("format", pix_fmts=_CANVAS_PIXELS),
        filter_("setparams", **_COLOURS),
    )


def _placed(take: Take, canvas: Size, clock: Clock, level: int) -> Iterator[Chain]:
    media, shape = take.media, Size(take.media.width, take.media.height)
    outer = geometry.box(take.element, canvas, shape)
    inner = geometry.fitted(outer, shape, take.element.fit_mode)
    timing = _timed(take, clock) if media.kind is MediaKind.VIDEO else ()
    shaping = (*_turned(media.rotation), *_cropped(take.element, shape, inner.size), *_scaled(inner.size))
    layer = f"layer{level}"
    # `V` is the first stream that is no cover picture, as `probe` chose it.
    yield Chain((f"{take.index}:V:0",), (*timing, *shaping), (layer,))
    yield Chain((f"canvas{level}", layer), (_overlay(take, inner, clock),), (f"canvas{level + 1}",))


def _timed(take: Take, clock: Clock) -> tuple[Filter, ...]:
    """In the output's frames; afterwards one tick of its clock is one frame, so the shift is exact."""
    return (
        filter_("fps", fps=_ratio(clock.fps)),
        filter_("trim", end_frame=take.end - take.first),
        filter_("setpts", expr=f"PTS+{take.first}"),
    )


def _turned(degrees: int) -> tuple[Filter, ...]:
    quarter = {
        0: (),
        90: (filter_("transpose", dir="clock"),),
        180: (filter_("hflip"), filter_("vflip")),
        270: (filter_("transpose", dir="cclock"),),
    }
    return quarter[degrees]


def _cropped(element: Element, shape: Size, target: Size) -> tuple[Filter, ...]:
    if element.fit_mode is not FitMode.COVER:
        return ()
    width, height = geometry.visible_part(shape, target)
    # Shares, not pixels: the stored picture may have other sides than the one seen. Before scaling, so
    # that no more is drawn than the box holds.
    shares = {"out_w": f"max(1,iw*{decimal(width)})", "out_h": f"max(1,ih*{decimal(height)})"}
    return (filter_("crop", **shares, exact=1),)


def _scaled(size: Size) -> tuple[Filter, ...]:
    return (
        filter_("scale", w=size.width, h=size.height, out_color_matrix="bt709", out_range="tv"),
        filter_("setsar", sar=1),
        filter_("format", pix_fmts=_LAYER_PIXELS),
    )


def _overlay(take: Take, place: Box, clock: Clock) -> Filter:
    """A picture has one frame, which overlay repeats; a clip's last one too, until its window closes."""
    half = Fraction(1, 2)
    first, end = clock.seconds(take.first - half), clock.seconds(take.end - half)
    known = take.media.kind is MediaKind.IMAGE or take.media.duration is not None
    return filter_(
        "overlay",
        x=place.x,
        y=place.y,
        format="yuv444",
        eof_action="repeat" if known else "pass",
        enable=f"gte(t,{decimal(first)})*lt(t,{decimal(end)})",
    )


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
