"""The files a job may ask for, and how each is encoded."""

from collections.abc import Callable
from dataclasses import dataclass

from reelbase.worker.errors import RenderError
from reelbase.worker.filters import Chain, filter_
from reelbase.worker.geometry import Size

# The index in front, so that a browser plays the file before it has all of it.
_INDEX_FIRST = ("-movflags", "+faststart")
_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", *_INDEX_FIRST)
_VP9 = (
    "-c:v",
    "libvpx-vp9",
    "-crf",
    "32",
    "-b:v",
    "0",
    "-deadline",
    "good",
    "-cpu-used",
    "5",
    "-row-mt",
    "1",
)
_AAC = ("-c:a", "aac", "-b:a", "160k")
_OPUS = ("-c:a", "libopus", "-b:a", "128k")


def _blocks(canvas: str, video: str) -> tuple[Chain, ...]:
    """Blocks of 2x2 pixels share a colour, so both sides become even."""
    even = filter_("pad", w="ceil(iw/2)*2", h="ceil(ih/2)*2")
    return (Chain((canvas,), (even, filter_("format", pix_fmts="yuv420p")), (video,)),)


def _palettes(canvas: str, video: str) -> tuple[Chain, ...]:
    """A palette for each frame: one for all would hold every frame in memory until the last."""
    return (
        Chain((canvas,), (filter_("format", pix_fmts="rgb24"), filter_("split")), ("drawn", "studied")),
        Chain(("studied",), (filter_("palettegen", stats_mode="single"),), ("palette",)),
        Chain(("drawn", "palette"), (filter_("paletteuse", new=1),), (video,)),
    )


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """`finish` leads from the canvas's label to the video's; without `sound` the format has none.

    A side of the video is a multiple of `grain` pixels.
    """

    muxer: str
    picture: tuple[str, ...]
    sound: tuple[str, ...] = ()
    finish: Callable[[str, str], tuple[Chain, ...]] = _blocks
    grain: int = 2

    @property
    def silent(self) -> bool:
        return not self.sound

    def size(self, canvas: Size) -> Size:
        """The video's size: the canvas's, with an odd side made even where it must be."""
        return Size(_up(canvas.width, self.grain), _up(canvas.height, self.grain))

    def arguments(self, *, sound: bool) -> list[str]:
        return [*self.picture, *(self.sound if sound else ()), "-f", self.muxer]


_FORMATS = {
    "mp4": OutputFormat("mp4", _H264, _AAC),
    "mov": OutputFormat("mov", _H264, _AAC),
    "webm": OutputFormat("webm", _VP9, _OPUS),
    "gif": OutputFormat("gif", ("-c:v", "gif", "-loop", "0"), finish=_palettes, grain=1),
}


def output_format(name: str) -> OutputFormat:
    """Raises RenderError unsupported_format."""
    chosen = _FORMATS.get(name.lower())
    if chosen is None:
        known = ", ".join(_FORMATS)
        raise RenderError("unsupported_format", f"The output format {name!r} is unknown; there are {known}.")
    return chosen


def _up(length: int, grain: int) -> int:
    return -(-length // grain) * grain
