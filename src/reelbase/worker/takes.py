"""When an element is seen and heard, counted in whole frames of the output.

Frames and not seconds, so that what ends at 2 s and what begins at 2 s neither overlap nor leave a gap.
"""

from dataclasses import dataclass
from fractions import Fraction

from reelbase.models import Element, ElementType
from reelbase.worker import geometry
from reelbase.worker.errors import RenderError
from reelbase.worker.media import MediaInfo

_LOUDEST = 4


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds to whole frames of the output. `total` is the video's length in frames."""

    fps: Fraction
    total: int

    def frame(self, seconds: Fraction) -> int:
        return geometry.rounded(seconds * self.fps)

    def seconds(self, frame: int | Fraction) -> Fraction:
        return frame / self.fps


@dataclass(frozen=True, slots=True)
class Take:
    """A layer that is really there: its place among the inputs, and its window in frames."""

    index: int
    element: Element
    media: MediaInfo
    first: int
    end: int
    """The first frame without it."""
    volume: Fraction

    @property
    def is_visual(self) -> bool:
        return self.element.type is not ElementType.AUDIO


def taken(index: int, element: Element, media: MediaInfo | None, clock: Clock) -> Take:
    if media is None:
        raise RenderError("source_missing", "it has no source to show or to play.")
    _check_use(element, media)
    end = known_end(element, media)
    return Take(
        index,
        element,
        media,
        first=max(0, clock.frame(Fraction(element.start_time))),
        end=clock.total if end is None else min(clock.total, clock.frame(end)),
        volume=_volume(element, media),
    )


def known_end(element: Element, media: MediaInfo | None) -> Fraction | None:
    """When the element is over, in seconds of the output; it is never longer than its source."""
    asked = None if element.duration is None else Fraction(element.duration)
    own = None if media is None or media.duration is None else Fraction(media.duration)
    lengths = [length for length in (asked, own) if length is not None]
    return Fraction(element.start_time) + min(lengths) if lengths else None


def _check_use(element: Element, media: MediaInfo) -> None:
    sound = element.type is ElementType.AUDIO
    if sound and not media.has_audio:
        raise RenderError("unsupported_media", "the source has no sound.")
    if not sound and not media.has_video:
        raise RenderError("unsupported_media", "the source has no picture.")


def _volume(element: Element, media: MediaInfo) -> Fraction:
    """Loudness as a factor: 0 without sound or when muted."""
    if not media.has_audio or element.metadata.get("muted") is True:
        return Fraction(0)
    volume = element.metadata.get("volume", 1)
    if isinstance(volume, bool) or not isinstance(volume, int | float) or not 0 <= volume <= _LOUDEST:
        reason = f"metadata.volume is {volume!r}; it must be a number from 0 to {_LOUDEST}."
        raise RenderError("invalid_metadata", reason)
    return Fraction(volume)
