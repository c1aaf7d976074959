"""Videos are really made, and what they show is read back from their frames."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import dist
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageColor

from reelbase.models import Element, Job
from reelbase.worker import text
from reelbase.worker.composition import Layer, compose
from reelbase.worker.encoder import encode
from reelbase.worker.geometry import Size
from reelbase.worker.media import MediaInfo, probe

COLOURS = ("black", "white", "red", "lime", "blue", "yellow")
FPS = 25
# In the middle of the canvas, for a source of 16:9.
SQUARE = {"x_position": "70", "width": "180", "height": "180"}

Ffmpeg = Callable[..., None]


@dataclass(frozen=True)
class Video:
    path: Path
    info: MediaInfo

    @cached_property
    def pictures(self) -> list[Image.Image]:
        with av.open(str(self.path)) as container:
            return [frame.to_image() for frame in container.decode(video=0)]

    @cached_property
    def loudness(self) -> list[float]:
        """The peak of every tenth of a second."""
        with av.open(str(self.path)) as container:
            mono = av.AudioResampler(format="s16", layout="mono", rate=8000)
            frames = [part for frame in container.decode(audio=0) for part in mono.resample(frame)]
        samples = memoryview(b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)).cast(
            "h"
        )
        return [max(map(abs, samples[start : start + 800])) / 32768 for start in range(0, len(samples), 800)]

    def colour(self, x: int, y: int, frame: int = 5) -> str:
        seen = self.pictures[frame].getpixel((x, y))
        assert isinstance(seen, tuple)
        return min(COLOURS, key=lambda name: dist(seen, ImageColor.getrgb(name)))

    def row(self, y: int, *xs: int, frame: int = 5) -> list[str]:
        return [self.colour(x, y, frame) for x in xs]


Render = Callable[..., Awaitable[Video]]


@pytest.fixture
def render(make_job: Callable[..., Job], tmp_path: Path) -> Render:
    async def unheard(_: float) -> None:
        """Nobody watches."""

    async def run(*layers: Layer, **columns: Any) -> Video:
        composition = compose(make_job(**{"fps": FPS, "estimated_duration": 1} | columns), layers)
        output = tmp_path / f"video.{columns.get('output_format', 'mp4')}"
        await encode(composition.arguments(output), duration=composition.duration, on_progress=unheard)
        return Video(output, probe(output))

    return run


@pytest.fixture(scope="session")
def sources(ffmpeg: Ffmpeg, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of two seconds and pictures in plain colours."""
    directory = tmp_path_factory.mktemp("sources")

    def clip(name: str, graph: str, *sound: str) -> None:
        fast = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", "-pix_fmt", "yuv420p")
        ffmpeg("-f", "lavfi", "-i", graph, *sound, *fast, "-t", "2", directory / name)

    red = "color=red:size=320x180:rate=25"
    clip("red.mp4", red)
    clip("loud.mp4", red, "-f", "lavfi", "-i", "sine=frequency=440,volume=6")
    flag = f"{red},drawbox=w=40:color=lime:t=fill,drawbox=x=280:w=40:color=blue:t=fill"
    clip("flag.mp4", flag)
    clip("traffic.mp4", f"{red},drawbox=color=lime:t=fill:enable='lt(t,1)'")
    ffmpeg("-display_rotation", "90", "-i", directory / "flag.mp4", "-c", "copy", directory / "turned.mp4")
    ffmpeg("-i", directory / "traffic.mp4", "-vf", "scale=64:36", directory / "traffic.gif")
    ffmpeg("-f", "lavfi", "-i", "sine=frequency=880,volume=6", "-t", "0.5", directory / "beep.wav")
    for name in ("white", "blue", "yellow"):
        Image.new("RGB", (64, 64), name).save(directory / f"{name}.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    held = Image.new("RGB", (128, 64), "blue")
    held.paste("yellow", (0, 0, 64, 64))
    held.save(directory / "held.jpg", exif=exif, quality=95)
    return directory


@pytest.fixture
def layer(sources: Path, make_element: Callable[..., Element]) -> Callable[..., Layer]:
    def make(name: str, **columns: Any) -> Layer:
        info = probe(sources / name)
        return Layer(make_element(type=info.kind.value, **columns), sources / name, info)

    return make


MakeLayer = Callable[..., Layer]


class TestFile:
    @pytest.mark.parametrize(
        ("name", "codecs"),
        [
            ("mp4", ("h264", "aac")),
            ("mov", ("h264", "aac")),
            ("webm", ("vp9", "opus")),
            ("gif", ("gif", None)),
        ],
    )
    async def test_is_what_was_asked_for(
        self, render: Render, layer: MakeLayer, name: str, codecs: tuple[str, str | None]
    ) -> None:
        video = await render(layer("loud.mp4"), output_format=name)

        # PyAV decodes VP9 and Opus with other libraries than ffmpeg encodes them.
        found = [
            codec and codec.removeprefix("lib") for codec in (video.info.video_codec, video.info.audio_codec)
        ]
        assert found == list(codecs)
        assert (video.info.width, video.info.height) == (320, 180)
        assert video.info.duration == pytest.approx(1, abs=2 / FPS)
        assert video.colour(160, 90) == "red"

    async def test_has_the_frame_rate_of_the_job(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("red.mp4"), fps="12.5", estimated_duration=2)

        assert video.info.fps == 12.5
        assert len(video.pictures) == 25

    async def test_lasts_to_the_end_of_its_elements(self, render: Render, layer: MakeLayer) -> None:
        video = await render(
            layer("red.mp4"), layer("white.png", start_time="1.5", duration=1), estimated_duration=None
        )

        assert video.info.duration == pytest.approx(2.5, abs=1 / FPS)

    @pytest.mark.parametrize("name", ["mp4", "webm", "gif"])
    async def test_may_have_odd_sides(self, render: Render, layer: MakeLayer, name: str) -> None:
        video = await render(
            layer("red.mp4", width="100%", height="100%"), width=65, height=33, output_format=name
        )

        assert (video.info.width - 65, video.info.height - 33) == ((0, 0) if name == "gif" else (1, 1))
        assert video.colour(60, 16) == "red"

    async def test_begins_with_its_index(self, render: Render, layer: MakeLayer) -> None:
        whole = (await render(layer("red.mp4"))).path.read_bytes()

        assert whole.index(b"moov") < whole.index(b"mdat")

    async def test_keeps_no_metadata_of_its_sources(
        self, render: Render, layer: MakeLayer, ffmpeg: Ffmpeg, sources: Path, tmp_path: Path
    ) -> None:
        tagged = tmp_path / "tagged.mp4"
        ffmpeg("-i", sources / "red.mp4", "-c", "copy", "-metadata", "title=at home", tagged)
        red = layer("red.mp4")

        video = await render(Layer(red.element, tagged, probe(tagged)))

        assert b"at home" in tagged.read_bytes()
        assert b"at home" not in video.path.read_bytes()


class TestSources:
    """What `probe` accepts, ffmpeg must accept under the demuxer's name that `probe` found."""

    @pytest.mark.parametrize("name", ["a.webm", "a.mkv", "a.mov", "a.avi", "a.ts", "a.ogv", "a.gif"])
    async def test_every_kind_of_clip(  # pytest fills them by name
        self, render: Render, layer: MakeLayer, ffmpeg: Ffmpeg, sources: Path, tmp_path: Path, name: str
    ) -> None:
        ffmpeg("-i", sources / "red.mp4", "-t", "0.4", "-q:v", "3", tmp_path / name)

        video = await render(
            Layer(layer("red.mp4").element, tmp_path / name, probe(tmp_path / name)), estimated_duration="0.4"
        )

        assert video.colour(160, 90) == "red"

    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.gif", "%03d.png"])
    async def test_every_kind_of_picture(
        self, render: Render, layer: MakeLayer, tmp_path: Path, name: str
    ) -> None:
        Image.new("RGB", (64, 64), "yellow").save(tmp_path / name)

        video = await render(Layer(layer("white.png").element, tmp_path / name, probe(tmp_path / name)))

        assert video.colour(30, 30, 24) == "yellow"

    @pytest.mark.parametrize("name", ["a.mp3", "a.m4a", "a.flac", "a.ogg", "a.opus", "a.aac", "a.wav"])
    async def test_every_kind_of_sound(  # pytest fills them by name
        self, render: Render, layer: MakeLayer, ffmpeg: Ffmpeg, sources: Path, tmp_path: Path, name: str
    ) -> None:
        ffmpeg("-i", sources / "beep.wav", tmp_path / name)
        sound = Layer(layer("beep.wav").element, tmp_path / name, probe(tmp_path / name))

        video = await render(layer("white.png"), sound)

        assert video.loudness[2] > 0.1
        assert video.loudness[8] < 0.01

    async def test_a_clip_that_does_not_tell_its_length(
        self, render: Render, layer: MakeLayer, ffmpeg: Ffmpeg, sources: Path, tmp_path: Path
    ) -> None:
        ffmpeg("-i", sources / "red.mp4", "-t", "0.4", "-live", "1", tmp_path / "live.webm")
        info = probe(tmp_path / "live.webm")

        video = await render(Layer(layer("red.mp4").element, tmp_path / "live.webm", info))

        assert info.duration is None
        assert [video.colour(160, 90, frame) for frame in (0, 8, 12, 24)] == ["red", "red", "black", "black"]

    async def test_a_transparent_picture(self, render: Render, layer: MakeLayer, tmp_path: Path) -> None:
        glass = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
        glass.paste("white", (0, 0, 32, 64))
        glass.save(tmp_path / "glass.png")
        element = layer("white.png", track=1).element

        video = await render(
            layer("red.mp4"), Layer(element, tmp_path / "glass.png", probe(tmp_path / "glass.png"))
        )

        assert video.row(30, 16, 48) == ["white", "red"]

    @pytest.mark.parametrize(
        ("size", "fit"), [((2000, 1), "cover"), ((1, 2000), "cover"), ((2000, 1), "auto")]
    )
    async def test_a_shape_out_of_the_ordinary(
        self, render: Render, layer: MakeLayer, tmp_path: Path, size: tuple[int, int], fit: str
    ) -> None:
        Image.new("RGB", size, "white").save(tmp_path / "line.png")
        element = layer("white.png", width="32", height="33", fit_mode=fit).element

        video = await render(
            Layer(element, tmp_path / "line.png", probe(tmp_path / "line.png")), width=33, height=33
        )

        assert video.colour(16, 16) == "white"


class TestPlace:
    async def test_in_pixels(self, render: Render, layer: MakeLayer) -> None:
        place = {"x_position": "101", "y_position": "51px", "width": "50", "height": "30", "fit_mode": "fill"}

        video = await render(layer("white.png", **place))

        assert video.row(65, 98, 104, 148, 154) == ["black", "white", "white", "black"]
        assert [video.colour(120, y) for y in (48, 54, 78, 84)] == ["black", "white", "white", "black"]

    async def test_in_percent_of_the_canvas(self, render: Render, layer: MakeLayer) -> None:
        half = {"x_position": "50%", "y_position": "50%", "width": "25%", "height": "50%", "fit_mode": "fill"}

        video = await render(layer("white.png", **half))

        assert video.row(130, 157, 163, 237, 243) == ["black", "white", "white", "black"]
        assert [video.colour(200, y) for y in (87, 93, 177)] == ["black", "white", "white"]

    async def test_partly_and_wholly_outside_the_canvas(self, render: Render, layer: MakeLayer) -> None:
        video = await render(
            layer("white.png", x_position="-32", y_position="-32"),
            layer("blue.png", x_position="110%", y_position="-300"),
            layer("yellow.png", element_order=2, x_position="300", y_position="100"),
        )

        assert video.row(16, 16, 29, 35) == ["white", "white", "black"]
        assert video.row(130, 296, 304, 318) == ["black", "yellow", "yellow"]

    async def test_its_own_size_unless_it_is_larger_than_the_canvas(
        self, render: Render, layer: MakeLayer
    ) -> None:
        video = await render(layer("white.png"), layer("red.mp4", y_position="100", track=-1), width=160)

        assert video.row(20, 60, 67) == ["white", "black"]
        assert [video.colour(80, y) for y in (97, 103, 178)] == ["black", "red", "red"]


class TestFit:
    async def test_contain_keeps_all_of_it_in_the_middle(self, render: Render, layer: MakeLayer) -> None:
        video = await render(
            layer("blue.png", width="100%", height="100%", fit_mode="fill"),
            layer("flag.mp4", track=1, fit_mode="contain", **SQUARE),
        )

        assert video.row(90, 76, 160, 244) == ["lime", "red", "blue"]
        assert [video.colour(160, y) for y in (36, 44, 136, 144)] == ["blue", "red", "red", "blue"]

    async def test_auto_is_contain(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("flag.mp4", **SQUARE))

        assert video.row(90, 76, 160, 244) == ["lime", "red", "blue"]
        assert video.colour(160, 36) == "black"

    async def test_cover_fills_the_box_and_crops_both_sides(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("flag.mp4", fit_mode="cover", **SQUARE))

        assert video.row(4, 66, 74, 160, 246, 254) == ["black", "red", "red", "red", "black"]

    @pytest.mark.parametrize("fit", ["fill", "stretch"])
    async def test_fill_and_stretch_distort(self, render: Render, layer: MakeLayer, fit: str) -> None:
        video = await render(layer("flag.mp4", fit_mode=fit, **SQUARE))

        assert video.row(4, 66, 74, 88, 96, 246) == ["black", "lime", "lime", "red", "blue"]

    async def test_a_clip_is_turned_upright(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("turned.mp4"), width=180, height=320)

        assert [video.colour(90, y) for y in (10, 160, 310)] == ["blue", "red", "lime"]

    async def test_a_picture_is_turned_upright(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("held.jpg"))

        assert [video.colour(32, y) for y in (10, 120)] == ["yellow", "blue"]
        assert video.colour(80, 30) == "black"


class TestTime:
    async def test_an_element_shows_in_its_window(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("white.png", start_time="0.4", duration="0.2"))

        shown = [video.colour(30, 30, frame) for frame in range(FPS)]
        assert shown == ["black"] * 10 + ["white"] * 5 + ["black"] * 10

    async def test_a_clip_begins_with_its_first_frame(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("traffic.mp4", start_time="0.6"), estimated_duration=2)

        shown = [video.colour(30, 30, frame) for frame in range(2 * FPS)]
        changes = [frame for frame, (a, b) in enumerate(pairwise(shown), 1) if a != b]
        assert (shown[0], shown[15], shown[-1]) == ("black", "lime", "red")
        assert changes == [15, 40]

    async def test_a_clip_ends_with_its_duration(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("red.mp4", duration="0.2"))

        assert [video.colour(30, 30, frame) for frame in (0, 4, 5, 24)] == ["red", "red", "black", "black"]

    async def test_a_clip_ends_with_its_source(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("red.mp4", duration=60), estimated_duration=3)

        assert [video.colour(30, 30, frame) for frame in (0, 49, 50, 74)] == ["red", "red", "black", "black"]

    async def test_neighbours_neither_overlap_nor_leave_a_gap(self, render: Render, layer: MakeLayer) -> None:
        third = {"duration": "0.333", "fit_mode": "fill", "width": "100%", "height": "100%"}

        video = await render(
            layer("white.png", start_time=0, **third),
            layer("blue.png", start_time="0.333", **third),
            layer("yellow.png", start_time="0.666", **third),
            fps=30,
        )

        shown = [video.colour(30, 30, frame) for frame in range(30)]
        assert shown == ["white"] * 10 + ["blue"] * 10 + ["yellow"] * 10

    async def test_a_gif_moves(self, render: Render, layer: MakeLayer) -> None:
        video = await render(layer("traffic.gif"), estimated_duration=None)

        assert video.info.duration == pytest.approx(2, abs=2 / FPS)
        assert [video.colour(30, 18, frame) for frame in (5, 45)] == ["lime", "red"]


class TestDepth:
    async def test_a_higher_track_covers_a_lower_one(self, render: Render, layer: MakeLayer) -> None:
        video = await render(
            layer("white.png", track=5, element_order=1),
            layer("blue.png", track=1, element_order=2, x_position="32"),
            layer("yellow.png", track=3, element_order=3, x_position="64"),
        )

        assert video.row(30, 16, 48, 80, 112) == ["white", "white", "yellow", "yellow"]

    async def test_in_one_track_the_later_element_covers(self, render: Render, layer: MakeLayer) -> None:
        video = await render(
            layer("white.png", element_order=2), layer("blue.png", element_order=1, x_position="32")
        )

        assert video.row(30, 16, 48, 80) == ["white", "white", "blue"]


class TestText:
    async def test_is_seen_over_a_clip(
        self, render: Render, layer: MakeLayer, make_element: Callable[..., Element], tmp_path: Path
    ) -> None:
        style = {"size": "50%", "color": "white", "background": "#0000ff", "align": "left"}
        place = {"x_position": "10%", "y_position": "25%", "width": "80%", "height": "50%"}
        words = make_element(type="text", text_content="H: 'x';[0:v]", text_style=style, track=1, **place)
        picture = text.draw(words, Size(320, 180), tmp_path / "words.png")

        video = await render(layer("red.mp4"), Layer(words, picture, probe(picture)))

        inside = {video.colour(x, y) for x in range(34, 100, 3) for y in range(50, 130, 3)}
        assert {"white", "blue"} <= inside
        assert video.row(90, 28, 292) == ["red", "red"]
        assert [video.colour(160, y) for y in (41, 139)] == ["red", "red"]


class TestSound:
    async def test_of_a_clip_and_of_a_sound_are_mixed(self, render: Render, layer: MakeLayer) -> None:
        video = await render(
            layer("loud.mp4", duration="0.3"), layer("beep.wav", start_time="0.6"), estimated_duration="1.5"
        )

        loud = [peak > 0.1 for peak in video.loudness]
        assert [loud[tenth] for tenth in (1, 4, 7, 9, 13)] == [True, False, True, True, False]
        assert len(loud) == pytest.approx(15, abs=1)

    async def test_is_as_loud_alone_as_in_company(self, render: Render, layer: MakeLayer) -> None:
        alone = await render(layer("loud.mp4"))
        peak = alone.loudness[4]

        both = await render(layer("loud.mp4"), layer("beep.wav", start_time="0.8"))

        assert both.loudness[4] == pytest.approx(peak, rel=0.1)

    async def test_has_its_volume(self, render: Render, layer: MakeLayer) -> None:
        full = (await render(layer("loud.mp4"))).loudness[4]

        half = (await render(layer("loud.mp4", metadata={"volume": 0.5}))).loudness[4]

        assert half == pytest.approx(full / 2, rel=0.1)

    async def test_is_absent_where_there_is_none(self, render: Render, layer: MakeLayer) -> None:
        silent = await render(layer("red.mp4"))
        muted = await render(layer("loud.mp4", metadata={"muted": True}))

        assert (silent.info.has_audio, muted.info.has_audio) == (False, False)
