"""What a source is: its kind, shape and length, and whether it can be decoded at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from reelbase.worker.errors import RenderError

_PICTURES = frozenset({"png_pipe", "jpeg_pipe", "webp_pipe", "bmp_pipe"})

# Only containers that hold all they need. A playlist (hls, dash, concat, ffconcat, sdp, some subtitles)
# names other files or addresses, and ffmpeg would open them with the worker's rights and put what
# it finds into a video that the author of the playlist may watch.
_CONTAINERS = _PICTURES | {
    "aac",
    "avi",
    "flac",
    "gif",
    "matroska",
    "mov",
    "mp3",
    "mpegts",
    "ogg",
    "wav",
}

# A picture is decoded whole, four bytes a pixel, before anything can shrink it.
_MAX_PIXELS = 80_000_000

_CANNOT = "this is no video, picture or sound that can be read;"
_DAMAGED = "the file may be damaged, cut off, or something else than its name says."
_SUPPORTED = (
    "supported are mp4, mov, webm, mkv, avi, ts, gif, png, jpeg, webp, bmp, mp3, m4a, wav, flac, ogg and aac."
)

# What EXIF orientation says, as clockwise turns. Mirrored ones are turned, not mirrored.
_EXIF_ORIENTATION = 0x0112
_EXIF_TURNS = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}

_PYAV = int(av.__version__.partition(".")[0])
_ALWAYS_LENIENT = 19
# Before that version, a tag that is no UTF-8 makes a file unreadable unless this says otherwise.
_TAGS: dict[str, Any] = {} if _PYAV >= _ALWAYS_LENIENT else {"metadata_errors": "replace"}


class MediaKind(StrEnum):
    VIDEO = "video"
    IMAGE = "image"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaInfo:
    """A source that was opened and whose first frames were decoded.

    `container` is the name of ffmpeg's demuxer. `width` and `height` are as seen: square pixels,
    after turning by `rotation` degrees clockwise; 0 without a picture. `duration` is seconds, None
    for pictures and where the file does not say. An animated gif is a video.
    """

    kind: MediaKind
    container: str
    size_bytes: int
    width: int = 0
    height: int = 0
    rotation: int = 0
    duration: float | None = None
    fps: float | None = None
    video_codec: str | None = None
    audio_codec: str | None = None

    @property
    def has_video(self) -> bool:
        return self.video_codec is not None

    @property
    def has_audio(self) -> bool:
        return self.audio_codec is not None


def probe(path: Path) -> MediaInfo:
    """Open the file and decode a frame of each stream. Blocks: call it from a thread.

    Raises RenderError: source_missing, source_unreadable or unsupported_media.
    """
    with _opened(path) as file, _readable(), _container(file) as container:
        info = _described(container, path.stat().st_size)
    return _oriented(info, path) if info.kind is MediaKind.IMAGE else info


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise RenderError("source_missing", "the file does not exist.") from error
    except OSError as error:
        raise RenderError("source_unreadable", f"the file cannot be opened: {error.strerror}.") from error
    with file:
        yield file


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except av.error.ArgumentError as error:
        # The demuxer recognised the content, and it is none of `format_whitelist`.
        raise RenderError("unsupported_media", f"{_CANNOT} {_SUPPORTED}") from error
    except (av.error.FFmpegError, OSError) as error:
        details = {"reason": str(error)}
        raise RenderError("source_unreadable", f"{_CANNOT} {_DAMAGED}", details=details) from error


def _container(file: IO[bytes]) -> InputContainer:
    # Without a name only the content decides what it is, and nothing that lies beside it can be found.
    nameless = SimpleNamespace(name="", read=file.read, seek=file.seek, tell=file.tell)
    container: InputContainer = av.open(
        nameless,
        mode="r",
        options={"format_whitelist": ",".join(sorted(_CONTAINERS)), "protocol_whitelist": "file"},
        **_TAGS,
    )
    return container


def _described(container: InputContainer, size_bytes: int) -> MediaInfo:
    name = container.format.name.partition(",")[0]
    video = next((stream for stream in container.streams.video if not _is_cover(stream)), None)
    audio = next(iter(container.streams.audio), None)
    if video is None and audio is None:
        raise RenderError("unsupported_media", "the file has neither picture nor sound.")
    _check_complete(container, size_bytes)
    frame = None if video is None else _first_picture(container, video)
    if audio is not None:
        _check_sound(container, audio)
    kind = _kind(name, video)
    width, height, rotation = _shape(frame, video)
    return MediaInfo(
        kind=kind,
        container=name,
        size_bytes=size_bytes,
        width=width,
        height=height,
        rotation=rotation,
        duration=None if kind is MediaKind.IMAGE else _duration(container),
        fps=_fps(video) if kind is MediaKind.VIDEO else None,
        video_codec=None if video is None else video.codec_context.name,
        audio_codec=None if audio is None else audio.codec_context.name,
    )


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _kind(container: str, video: VideoStream | None) -> MediaKind:
    if video is None:
        return MediaKind.AUDIO
    if container in _PICTURES or (container == "gif" and video.frames == 1):
        return MediaKind.IMAGE
    return MediaKind.VIDEO


def _check_complete(container: InputContainer, size_bytes: int) -> None:
    """An mp4 lists where its frames lie; ffmpeg itself would show the last one it has, and say nothing."""
    for stream in container.streams:
        if len(stream.index_entries) == 0:
            continue
        last = stream.index_entries[-1]
        if last.pos + last.size > size_bytes:
            raise RenderError(
                "source_unreadable",
                f"the file is cut off: it has {size_bytes} bytes of {last.pos + last.size} or more.",
            )


def _first_picture(container: InputContainer, stream: VideoStream) -> VideoFrame:
    _check_decoder(stream)
    if stream.width * stream.height > _MAX_PIXELS:
        raise RenderError("unsupported_media", f"{stream.width}x{stream.height} pixels are too many.")
    for frame in container.decode(stream):
        return frame
    raise RenderError("source_unreadable", "the file holds no picture.")


def _check_sound(container: InputContainer, stream: AudioStream) -> None:
    _check_decoder(stream)
    container.seek(0)
    for _ in container.decode(stream):
        return
    raise RenderError("source_unreadable", "the file holds no sound, though it announces some.")


def _check_decoder(stream: Stream) -> None:
    # PyAV types it as always there; it is None when the wheel has no decoder.
    context: object = stream.codec_context
    if context is None:
        raise RenderError("unsupported_media", f"there is no decoder for its {stream.type}.")


def _shape(frame: VideoFrame | None, stream: VideoStream | None) -> tuple[int, int, int]:
    if frame is None or stream is None:
        return 0, 0, 0
    width = max(1, round(frame.width * (stream.sample_aspect_ratio or Fraction(1))))
    rotation = -frame.rotation % 360
    return _turned(width, frame.height, rotation)


def _turned(width: int, height: int, rotation: int) -> tuple[int, int, int]:
    quarter = round(rotation / 90) % 4 * 90
    return (height, width, quarter) if quarter in {90, 270} else (width, height, quarter)


def _duration(container: InputContainer) -> float | None:
    return None if container.duration is None else container.duration / av.time_base


def _fps(stream: VideoStream | None) -> float | None:
    rate = None if stream is None else stream.average_rate
    return None if rate is None else float(rate)


def _oriented(info: MediaInfo, path: Path) -> MediaInfo:
    width, height, turn = _seen(path)
    width, height, rotation = _turned(width, height, turn)
    return replace(info, width=width, height=height, rotation=rotation)


def _seen(path: Path) -> tuple[int, int, int]:
    """Size and clockwise turn of a picture, read to its end: ffmpeg shows half of one without a word."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP", "BMP", "GIF")) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise RenderError("unsupported_media", f"an animated {image.format} is not supported.")
            image.load()
            return *image.size, _EXIF_TURNS.get(image.getexif().get(_EXIF_ORIENTATION, 1), 0)
    except (OSError, SyntaxError, ValueError) as error:
        raise RenderError("source_unreadable", f"the picture is damaged or cut off: {error}.") from error
