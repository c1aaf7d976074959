"""From a job and its sources to one ffmpeg command: pure, nothing is read or started here.

The canvas has the job's size, frame rate and a black ground. Visual elements are laid on it by track,
then by order, the highest on top. Times are counted in whole frames, so that what ends at 2 s and what
begins at 2 s neither overlap nor leave a gap. mp4, mov and webm store colour for blocks of 2x2 pixels:
an odd side of the canvas gets one more black pixel, right or below. A gif keeps its size.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil
from pathlib import Path

from reelbase.models import Element, ElementType, FitMode, Job
from reelbase.worker import geometry
from reelbase.worker.errors import RenderError, about
from reelbase.worker.filters import Chain, Filter, decimal, filter_, rendered
from reelbase.worker.formats import OutputFormat, output_format
from reelbase.worker.geometry import Box, Size
from reelbase.worker.media import MediaInfo, MediaKind

DEFAULT_DURATION = 5
"""Seconds of a video that says nothing about its length and whose elements have none of their own."""

_SAMPLE_RATE = 48_000
_LOUDEST = 4

# One colour space for every layer: sources come in several, and overlay mixes numbers, not colours.
_COLOURS = {"range": "tv", "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}

# Colour for every pixel, so that an element at an odd position stands exactly there.
_CANVAS_PIXELS = "yuv444p"
_LAYER_PIXELS = "yuva444p"


@dataclass(frozen=True, slots=True)
class Layer:
    """An element and what was made of its source: the local file, and what `probe` says of it.

    A text element's file is the picture that `text.draw` made.
    """

    element: Element
    path: Path | None
    media: MediaInfo | None


@dataclass(frozen=True, slots=True)
class Input:
    """One file that ffmpeg opens, with the demuxer that `probe` found and no other."""

    path: Path
    container: str

    def arguments(self) -> list[str]:
        # `-f` keeps ffmpeg from taking a playlist for what it is, the protocols from opening addresses.
        # Turning is done in the graph, because whether ffmpeg heeds EXIF depends on its version.
        guards = ["-protocol_whitelist", "file,pipe", "-noautorotate", "-f", self.container]
        return [*guards, "-i", f"file:{self.path.absolute()}"]


@dataclass(frozen=True)
class Composition:
    """One video as ffmpeg is to make it. `size` is the finished video's, `duration` its seconds."""

    inputs: tuple[Input, ...]
    graph: tuple[Chain, ...]
    size: Size
    duration: float
    has_audio: bool
    format: OutputFormat

    @cached_property
    def filter_complex(self) -> str:
        return rendered(self.graph)

    def arguments(self, output: Path) -> list[str]:
        """The command without the executable; the last argument is the output's path."""
        sources = [argument for source in self.inputs for argument in source.arguments()]
        # Nothing of the sources' metadata passes on: a telephone writes where it was.
        streams = ["-map", "[video]", *(["-map", "[audio]"] if self.has_audio else [])]
        private = ["-map_metadata", "-1", "-map_chapters", "-1"]
        codecs = self.format.arguments(sound=self.has_audio)
        graph = ["-filter_complex", self.filter_complex]
        return [*sources, *graph, *streams, *private, *codecs, str(output.absolute())]


@dataclass(frozen=True, slots=True)
class _Clock:
    """Seconds to whole frames of the output. `total` is the video's length in frames."""

    fps: Fraction
    total: int

    def frame(self, seconds: Fraction) -> int:
        return geometry.rounded(seconds * self.fps)

    def seconds(self, frame: int | Fraction) -> Fraction:
        return frame / self.fps


@dataclass(frozen=True, slots=True)
class _Source:
    """A layer that is really there: its place among the inputs, and its window in frames."""

    index: int
    element: Element
    media: MediaInfo
    first: int
    end: int
    """The first frame without it."""
    volume: Fraction


def compose(job: Job, layers: Sequence[Layer]) -> Composition:
    """Plan the video.

    Raises RenderError: no_visible_element, invalid_geometry, unsupported_format, unsupported_media,
    source_missing, invalid_metadata.
    """
    chosen = output_format(job.output_format)
    canvas = _canvas(job)
    clock = _clock(job, layers)
    inputs, sources = _sources(layers, clock)
    pictures = sorted(filter(_is_visual, sources), key=_depth)
    if not pictures:
        raise RenderError("no_visible_element", "No element of the job shows anything within the video.")
    sounds = [] if chosen.silent else [source for source in sources if source.volume > 0]
    return Composition(
        inputs=inputs,
        graph=(*_picture_chains(pictures, canvas, clock, chosen), *_sound_chains(sounds, clock)),
        size=chosen.size(canvas),
        duration=float(clock.seconds(clock.total)),
        has_audio=bool(sounds),
        format=chosen,
    )


def _canvas(job: Job) -> Size:
    if min(job.width, job.height) < 1 or job.fps <= 0:
        asked = f"{job.width}x{job.height} at {job.fps} frames a second"
        raise RenderError("invalid_geometry", f"A video of {asked} cannot be made.")
    return Size(job.width, job.height)


def _clock(job: Job, layers: Sequence[Layer]) -> _Clock:
    fps = Fraction(job.fps)
    seconds = Fraction(job.estimated_duration or 0) or _longest(layers) or Fraction(DEFAULT_DURATION)
    return _Clock(fps, max(1, geometry.rounded(seconds * fps)))


def _longest(layers: Sequence[Layer]) -> Fraction | None:
    ends = (_known_end(layer.element, layer.media) for layer in layers)
    return max((end for end in ends if end is not None), default=None)


def _known_end(element: Element, media: MediaInfo | None) -> Fraction | None:
    """When the element is over, in seconds of the output; it is never longer than its source."""
    asked = None if element.duration is None else Fraction(element.duration)
    own = None if media is None or media.duration is None else Fraction(media.duration)
    lengths = [length for length in (asked, own) if length is not None]
    return Fraction(element.start_time) + min(lengths) if lengths else None


def _sources(layers: Sequence[Layer], clock: _Clock) -> tuple[tuple[Input, ...], list[_Source]]:
    inputs: list[Input] = []
    sources: list[_Source] = []
    for layer in layers:
        with about(layer.element):
            source = _source(len(inputs), layer, clock)
            if source.first < min(source.end, clock.total):
                inputs.append(_input(layer, source))
                sources.append(source)
    return tuple(inputs), sources


def _source(index: int, layer: Layer, clock: _Clock) -> _Source:
    if layer.media is None:
        raise RenderError("source_missing", "it has no source to show or to play.")
    _check_use(layer.element, layer.media)
    end = _known_end(layer.element, layer.media)
    return _Source(
        index,
        layer.element,
        layer.media,
        first=max(0, clock.frame(Fraction(layer.element.start_time))),
        end=clock.total if end is None else min(clock.total, clock.frame(end)),
        volume=_volume(layer.element, layer.media),
    )


def _input(layer: Layer, source: _Source) -> Input:
    if layer.path is None:
        raise RenderError("source_missing", "its source was not fetched.")
    return Input(layer.path, source.media.container)


def _check_use(element: Element, media: MediaInfo) -> None:
    sound = element.type is ElementType.AUDIO
    if sound and not media.has_audio:
        raise RenderError("unsupported_media", "the source has no sound.")
    if not sound and not media.has_video:
        raise RenderError("unsupported_media", "the source has no picture.")


def _is_visual(source: _Source) -> bool:
    return source.element.type is not ElementType.AUDIO


def _depth(source: _Source) -> tuple[int, int]:
    return source.element.track, source.element.element_order


def _picture_chains(
    pictures: Sequence[_Source], canvas: Size, clock: _Clock, chosen: OutputFormat
) -> Iterator[Chain]:
    yield Chain((), _ground(canvas, clock), ("canvas0",))
    for level, source in enumerate(pictures):
        with about(source.element):
            yield from _placed(source, canvas, clock, level)
    yield from chosen.finish(f"canvas{len(pictures)}", "video")


def _ground(canvas: Size, clock: _Clock) -> tuple[Filter, ...]:
    # Half a frame less than the length: the source stops before the first frame that is not wanted.
    length = clock.seconds(clock.total - Fraction(1, 2))
    size = f"{canvas.width}x{canvas.height}"
    return (
        filter_("color", color="black", size=size, rate=_ratio(clock.fps), duration=length),
        filter_("format", pix_fmts=_CANVAS_PIXELS),
        filter_("setparams", **_COLOURS),
    )


def _placed(source: _Source, canvas: Size, clock: _Clock, level: int) -> Iterator[Chain]:
    media, shape = source.media, Size(source.media.width, source.media.height)
    outer = geometry.box(source.element, canvas, shape)
    inner = geometry.fitted(outer, shape, source.element.fit_mode)
    timing = _timed(source, clock) if media.kind is MediaKind.VIDEO else ()
    shaping = (*_turned(media.rotation), *_cropped(source.element, shape, inner.size), *_scaled(inner.size))
    layer = f"layer{level}"
    # `V` is the first stream that is no cover picture, as `probe` chose it.
    yield Chain((f"{source.index}:V:0",), (*timing, *shaping), (layer,))
    yield Chain((f"canvas{level}", layer), (_overlay(source, inner, clock),), (f"canvas{level + 1}",))


def _timed(source: _Source, clock: _Clock) -> tuple[Filter, ...]:
    """In the output's frames; afterwards one tick of its clock is one frame, so the shift is exact."""
    return (
        filter_("fps", fps=_ratio(clock.fps)),
        filter_("trim", end_frame=source.end - source.first),
        filter_("setpts", expr=f"PTS+{source.first}"),
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


def _overlay(source: _Source, place: Box, clock: _Clock) -> Filter:
    """A picture has one frame, which overlay repeats; a clip's last one too, until its window closes."""
    half = Fraction(1, 2)
    first, end = clock.seconds(source.first - half), clock.seconds(source.end - half)
    known = source.media.kind is MediaKind.IMAGE or source.media.duration is not None
    return filter_(
        "overlay",
        x=place.x,
        y=place.y,
        format="yuv444",
        eof_action="repeat" if known else "pass",
        enable=f"gte(t,{decimal(first)})*lt(t,{decimal(end)})",
    )


def _volume(element: Element, media: MediaInfo) -> Fraction:
    """Loudness as a factor: 0 without sound or when muted."""
    if not media.has_audio or element.metadata.get("muted") is True:
        return Fraction(0)
    volume = element.metadata.get("volume", 1)
    if isinstance(volume, bool) or not isinstance(volume, int | float) or not 0 <= volume <= _LOUDEST:
        reason = f"metadata.volume is {volume!r}; it must be a number from 0 to {_LOUDEST}."
        raise RenderError("invalid_metadata", reason)
    return Fraction(volume)


def _sound_chains(sounds: Sequence[_Source], clock: _Clock) -> Iterator[Chain]:
    if not sounds:
        return
    for number, source in enumerate(sounds):
        yield Chain((f"{source.index}:a:0",), _heard(source, clock), (f"sound{number}",))
    voices = tuple(f"sound{number}" for number in range(len(sounds)))
    yield Chain(voices, _mixed(len(voices), clock), ("audio",))


def _heard(source: _Source, clock: _Clock) -> tuple[Filter, ...]:
    first = _samples(clock.seconds(source.first))
    return (
        # Silence where the source has gaps or starts late, or the sound would run ahead of its picture.
        filter_("aresample", sample_rate=_SAMPLE_RATE, **{"async": 1, "first_pts": 0}),
        filter_("aformat", sample_fmts="fltp", channel_layouts="stereo"),
        filter_("atrim", end_sample=_samples(clock.seconds(source.end)) - first),
        filter_("volume", volume=source.volume),
        filter_("adelay", delays=f"{first}S", all=1),
    )


def _mixed(voices: int, clock: _Clock) -> tuple[Filter, ...]:
    total = _samples(clock.seconds(clock.total))
    return (
        # Without normalize=0 every element gets quieter when another one joins.
        filter_("amix", inputs=voices, duration="longest", normalize=0),
        filter_("apad", whole_len=total),
        filter_("atrim", end_sample=total),
    )


def _samples(seconds: Fraction) -> int:
    return ceil(seconds * _SAMPLE_RATE)


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"
