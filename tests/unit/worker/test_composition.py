from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from reelbase.models import Element, Job
from reelbase.worker.composition import Composition, Layer, compose
from reelbase.worker.errors import RenderError
from reelbase.worker.geometry import Size
from reelbase.worker.media import MediaInfo, MediaKind

VIDEO = MediaInfo(
    kind=MediaKind.VIDEO,
    container="mov",
    size_bytes=1,
    width=320,
    height=180,
    duration=2.0,
    fps=25.0,
    video_codec="h264",
    audio_codec="aac",
)
IMAGE = MediaInfo(
    kind=MediaKind.IMAGE, container="png_pipe", size_bytes=1, width=64, height=64, video_codec="png"
)
SOUND = MediaInfo(kind=MediaKind.AUDIO, container="mp3", size_bytes=1, duration=7.5, audio_codec="mp3float")

MakeLayer = Callable[..., Layer]


@pytest.fixture
def layer(make_element: Callable[..., Element]) -> MakeLayer:
    def make(media: MediaInfo | None = VIDEO, name: str = "a", **columns: Any) -> Layer:
        columns = {"type": "video" if media is None else media.kind.value} | columns
        return Layer(make_element(**columns), Path("/media") / name, media)

    return make


def chains(composition: Composition, filter_name: str) -> list[str]:
    return [text for text in composition.filter_complex.split(";") if f"{filter_name}=" in text]


class TestLength:
    def test_is_the_jobs_when_it_names_one(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        assert compose(make_job(estimated_duration=Decimal("1.5")), [layer()]).duration == pytest.approx(
            1.5, abs=0.04
        )

    def test_is_else_the_latest_known_end(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        layers = [layer(start_time=1), layer(IMAGE, start_time=3, duration=1), layer(IMAGE, start_time=90)]

        assert compose(make_job(), layers).duration == 4

    def test_counts_sounds(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        assert compose(make_job(fps=30), [layer(IMAGE), layer(SOUND)]).duration == 7.5

    def test_is_else_five_seconds(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        assert compose(make_job(), [layer(IMAGE)]).duration == 5

    def test_an_element_is_not_longer_than_its_source(
        self, make_job: Callable[..., Job], layer: MakeLayer
    ) -> None:
        assert compose(make_job(), [layer(duration=60)]).duration == 2

    def test_is_one_frame_at_the_least(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        assert compose(make_job(fps=10, estimated_duration="0.001"), [layer()]).duration == pytest.approx(0.1)


class TestGraph:
    def test_lays_lowest_track_first_then_by_depth_then_by_order(
        self, make_job: Callable[..., Job], layer: MakeLayer
    ) -> None:
        layers = [
            layer(IMAGE, "top", track=2, z_index=-5, element_order=1, x_position="5"),
            layer(IMAGE, "high", track=0, z_index=7, element_order=2, x_position="4"),
            layer(IMAGE, "third", track=0, element_order=9, x_position="3"),
            layer(IMAGE, "second", track=0, element_order=4, x_position="2"),
            layer(IMAGE, "first", track=0, z_index=-1, element_order=8, x_position="1"),
        ]

        overlays = chains(compose(make_job(), layers), "overlay")

        places = [text.split("overlay=")[1].split(":")[0] for text in overlays]
        assert places == ["x=1", "x=2", "x=3", "x=4", "x=5"]

    def test_shows_an_element_in_its_window_only(
        self, make_job: Callable[..., Job], layer: MakeLayer
    ) -> None:
        (overlay,) = chains(compose(make_job(fps=10), [layer(IMAGE, start_time=1, duration=2)]), "overlay")

        assert r"enable=gte(t\,0.95)*lt(t\,2.95)" in overlay

    def test_shifts_a_clip_by_whole_frames(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        text = compose(make_job(fps="29.97"), [layer(start_time="0.5", duration=1)]).filter_complex

        assert "fps=fps=2997/100,trim=end_frame=30,setpts=expr=PTS+15" in text

    def test_turns_what_was_filmed_upright(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        turned = [replace(VIDEO, rotation=degrees) for degrees in (90, 180, 270)]

        texts = [compose(make_job(), [layer(media)]).filter_complex for media in turned]

        assert [("dir=clock" in t, "hflip,vflip" in t, "dir=cclock" in t) for t in texts] == [
            (True, False, False),
            (False, True, False),
            (False, False, True),
        ]

    def test_leaves_out_what_begins_after_the_end(
        self, make_job: Callable[..., Job], layer: MakeLayer
    ) -> None:
        composition = compose(make_job(estimated_duration=1), [layer(), layer(IMAGE, start_time=1)])

        assert len(composition.inputs) == 1

    def test_contains_no_text_of_the_user(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        element = {"text_content": "evil';[x]", "source_url": "https://evil/'", "metadata": {"a": "evil"}}

        assert "evil" not in compose(make_job(), [layer(name="evil", **element)]).filter_complex


class TestSound:
    def test_is_mixed_from_clips_and_sounds(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        composition = compose(make_job(), [layer(), layer(SOUND, start_time=1), layer(IMAGE)])

        assert composition.has_audio
        assert "amix=inputs=2:duration=longest:normalize=0" in composition.filter_complex
        assert "adelay=delays=48000S" in composition.filter_complex

    def test_is_absent_where_no_element_has_any(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        composition = compose(make_job(), [layer(replace(VIDEO, audio_codec=None)), layer(IMAGE)])

        assert not composition.has_audio
        assert "[audio]" not in composition.arguments(Path("/out.mp4"))

    @pytest.mark.parametrize("metadata", [{"muted": True}, {"volume": 0}])
    def test_is_absent_when_muted(
        self, make_job: Callable[..., Job], layer: MakeLayer, metadata: dict[str, object]
    ) -> None:
        assert not compose(make_job(), [layer(metadata=metadata)]).has_audio

    def test_has_the_volume_of_its_element(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        assert "volume=volume=0.25" in compose(make_job(), [layer(metadata={"volume": 0.25})]).filter_complex

    @pytest.mark.parametrize("volume", [-1, 4.1, "loud", True, None, float("nan")])
    def test_refuses_other_volumes(
        self, make_job: Callable[..., Job], layer: MakeLayer, volume: object
    ) -> None:
        with pytest.raises(RenderError, match=r"Element 1 .*metadata\.volume") as caught:
            compose(make_job(), [layer(metadata={"volume": volume})])

        assert caught.value.code == "invalid_metadata"

    def test_is_not_in_a_gif(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        assert not compose(make_job(output_format="gif"), [layer()]).has_audio


class TestCommand:
    def test_opens_each_source_as_what_it_was_found_to_be(
        self, make_job: Callable[..., Job], layer: MakeLayer
    ) -> None:
        arguments = compose(make_job(), [layer(name="-i x")]).arguments(Path("/out.mp4"))

        guards = ["-protocol_whitelist", "file,pipe", "-noautorotate", "-f", "mov"]
        assert arguments[:7] == [*guards, "-i", "file:/media/-i x"]

    def test_ends_with_the_output(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        arguments = compose(make_job(), [layer()]).arguments(Path("/out.mp4"))

        assert arguments[-3:] == ["-f", "mp4", "/out.mp4"]

    def test_passes_no_metadata_on(self, make_job: Callable[..., Job], layer: MakeLayer) -> None:
        arguments = compose(make_job(), [layer()]).arguments(Path("/out.mp4"))

        assert arguments[arguments.index("-map_metadata") + 1] == "-1"


@pytest.mark.parametrize(
    ("name", "expected"), [("mp4", Size(322, 182)), ("webm", Size(322, 182)), ("gif", Size(321, 181))]
)
def test_compose__knows_the_size_of_the_video(
    make_job: Callable[..., Job], layer: MakeLayer, name: str, expected: Size
) -> None:
    assert compose(make_job(output_format=name, width=321, height=181), [layer()]).size == expected


@pytest.mark.parametrize(
    ("code", "job", "media", "columns"),
    [
        ("unsupported_format", {"output_format": "exe"}, VIDEO, {}),
        ("invalid_geometry", {"width": 0}, VIDEO, {}),
        ("invalid_geometry", {"fps": 0}, VIDEO, {}),
        ("invalid_geometry", {}, VIDEO, {"width": "wide"}),
        ("no_visible_element", {}, SOUND, {}),
        ("no_visible_element", {"estimated_duration": 1}, IMAGE, {"start_time": 2}),
        ("source_missing", {}, None, {}),
        ("unsupported_media", {}, SOUND, {"type": "video"}),
        ("unsupported_media", {}, IMAGE, {"type": "audio"}),
    ],
)
def test_compose__refuses(  # pytest fills them by name
    make_job: Callable[..., Job],
    layer: MakeLayer,
    code: str,
    job: dict[str, object],
    media: MediaInfo | None,
    columns: dict[str, object],
) -> None:
    with pytest.raises(RenderError) as caught:
        compose(make_job(**job), [layer(media, **columns)])

    assert caught.value.code == code
