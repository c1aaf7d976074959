"""Something to make a video of, for the demo: two clips with sound and a picture."""

from pathlib import Path

from reelbase.worker.encoder import encode

_SECONDS = 6
_CLIP = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
_SKY = "gradients=size=640x360:rate=30:seed=7:speed=0.02:nb_colors=3:c0=0x1b2a49:c1=0x3c6e71:c2=0x8d5b4c"
_BARS = "testsrc2=size=640x360:rate=30"
_FRACTAL = "mandelbrot=size=360x360:start_scale=0.03:start_x=-0.745:start_y=0.11"


async def make_samples(directory: Path) -> list[Path]:
    """Two clips of six seconds with sound and one picture, in that order."""
    sky, bars, picture = (directory / name for name in ("sky.mp4", "bars.mp4", "picture.png"))
    await _make(_clip(_SKY, 440, sky))
    await _make(_clip(_BARS, 660, bars))
    await _make(_picture(picture))
    return [sky, bars, picture]


def _clip(picture: str, pitch: int, path: Path) -> list[str]:
    sound = f"sine=frequency={pitch}:sample_rate=48000"
    return ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", str(_SECONDS), *_CLIP, str(path)]


def _picture(path: Path) -> list[str]:
    return ["-f", "lavfi", "-i", _FRACTAL, "-frames:v", "1", "-pix_fmt", "rgb24", str(path)]


async def _make(arguments: list[str]) -> None:
    await encode(arguments, duration=_SECONDS, on_progress=_unheard)


async def _unheard(percent: float) -> None:
    """The samples take two seconds; nobody watches."""
