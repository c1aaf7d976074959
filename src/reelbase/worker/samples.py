"""Something to make a video of, for the demo: two clips with sound and a picture."""

from pathlib import Path

from reelbase.worker.encoder import encode

_SECONDS = 3
_SIZE = "640x360"
_CLIP = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")


async def make_samples(directory: Path) -> list[Path]:
    """Two clips of three seconds with sound and one picture, in that order."""
    first, second, picture = (directory / name for name in ("bars.mp4", "waves.mp4", "picture.png"))
    await _make(_clip(f"testsrc2=size={_SIZE}:rate=30", 440, first))
    await _make(_clip(f"gradients=size={_SIZE}:rate=30:seed=7", 660, second))
    await _make(_picture(picture))
    return [first, second, picture]


def _clip(picture: str, pitch: int, path: Path) -> list[str]:
    sound = f"sine=frequency={pitch}:sample_rate=48000"
    return ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", str(_SECONDS), *_CLIP, str(path)]


def _picture(path: Path) -> list[str]:
    return ["-f", "lavfi", "-i", f"gradients=size={_SIZE}:seed=3:nb_colors=4", "-frames:v", "1", str(path)]


async def _make(arguments: list[str]) -> None:
    await encode(arguments, duration=_SECONDS, on_progress=_unheard)


async def _unheard(percent: float) -> None:
    """The samples take a second; nobody watches."""
