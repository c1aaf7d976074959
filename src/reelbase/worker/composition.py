"""From a job and its sources to one ffmpeg command: pure, nothing is read or started here.

Visual elements lie by track, then by z_index, then by order, the highest on top. mp4, mov and webm store
colour for blocks of 2x2 pixels: an odd side of the canvas gets one more black pixel, right or below. A
gif keeps its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

from reelbase.models import Element, Job
from reelbase.worker import geometry
from reelbase.worker.errors import RenderError, about
from reelbase.worker.filters import Chain, rendered
from reelbase.worker.formats import OutputFormat, output_format
from reelbase.worker.geometry import Size
from reelbase.worker.media import MediaInfo
from reelbase.worker.pictures import picture_chains
from reelbase.worker.sounds import sound_chains
from reelbase.worker.takes import Clock, Take, known_end, taken

DEFAULT_DURATION = 5
"""Seconds of a video that says nothing about its length and whose elements have none of their own."""


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
        streams = ["-map", "[video]", *(["-map", "[audio]"] if self.has_audio else [])]
        # Nothing of the sources' metadata passes on: a telephone writes where it was.
        private = ["-map_metadata", "-1", "-map_chapters", "-1"]
        codecs = self.format.arguments(sound=self.has_audio)
        graph = ["-filter_complex", self.filter_complex]
        return [*sources, *graph, *streams, *private, *codecs, str(output.absolute())]


def compose(job: Job, layers: Sequence[Layer]) -> Composition:
    """Plan the video.

    Raises RenderError: no_visible_element, invalid_geometry, unsupported_format, unsupported_media,
    source_missing, invalid_metadata.
    """
    chosen = output_format(job.output_format)
    canvas = _canvas(job)
    clock = _clock(job, layers)
    inputs, takes = _takes(layers, clock)
    pictures = sorted((take for take in takes if take.is_visual), key=_depth)
    if not pictures:
        raise RenderError("no_visible_element", "No element of the job shows anything within the video.")
    sounds = [] if chosen.silent else [take for take in takes if take.volume > 0]
    return Composition(
        inputs=inputs,
        graph=(*picture_chains(pictures, canvas, clock, chosen), *sound_chains(sounds, clock)),
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


def _clock(job: Job, layers: Sequence[Layer]) -> Clock:
    fps = Fraction(job.fps)
    seconds = Fraction(job.estimated_duration or 0) or _longest(layers) or Fraction(DEFAULT_DURATION)
    return Clock(fps, max(1, geometry.rounded(seconds * fps)))


def _longest(layers: Sequence[Layer]) -> Fraction | None:
    ends = (known_end(layer.element, layer.media) for layer in layers)
    return max((end for end in ends if end is not None), default=None)


def _takes(layers: Sequence[Layer], clock: Clock) -> tuple[tuple[Input, ...], list[Take]]:
    """What appears within the video at all; the rest is not even opened."""
    inputs: list[Input] = []
    takes: list[Take] = []
    for layer in layers:
        with about(layer.element):
            take = taken(len(inputs), layer.element, layer.media, clock)
            if take.first < take.end:
                inputs.append(_input(layer, take.media))
                takes.append(take)
    return tuple(inputs), takes


def _input(layer: Layer, media: MediaInfo) -> Input:
    if layer.path is None:
        raise RenderError("source_missing", "its source was not fetched.")
    return Input(layer.path, media.container)


def _depth(take: Take) -> tuple[int, int, int]:
    return take.element.track, take.element.z_index, take.element.element_order
