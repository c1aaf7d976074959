from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from reelbase.worker.errors import RenderError
from reelbase.worker.media import MediaKind, probe

Ffmpeg = Callable[..., None]


def refusal(path: Path) -> str:
    with pytest.raises(RenderError) as caught:
        probe(path)
    return caught.value.code


def test_probe__describes_a_clip(clip: Path) -> None:
    info = probe(clip)

    assert (info.kind, info.container, info.width, info.height) == (MediaKind.VIDEO, "mov", 320, 180)
    assert (info.duration, info.fps, info.size_bytes) == (1.0, 25.0, clip.stat().st_size)
    assert (info.video_codec, info.audio_codec, info.rotation) == ("h264", "aac", 0)


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("a.webm", ("-c:v", "libvpx", "-deadline", "realtime"), MediaKind.VIDEO),
        ("a.mkv", ("-c", "copy"), MediaKind.VIDEO),
        ("a.avi", (), MediaKind.VIDEO),
        ("a.ts", ("-c", "copy"), MediaKind.VIDEO),
        ("a.gif", (), MediaKind.VIDEO),
        ("still.gif", ("-frames:v", "1"), MediaKind.IMAGE),
        ("a.png", ("-frames:v", "1"), MediaKind.IMAGE),
        ("a.jpg", ("-frames:v", "1"), MediaKind.IMAGE),
        ("a.webp", ("-frames:v", "1"), MediaKind.IMAGE),
        ("a.bmp", ("-frames:v", "1"), MediaKind.IMAGE),
        ("%03d.png", ("-frames:v", "1", "-update", "1"), MediaKind.IMAGE),
        ("a.mp3", (), MediaKind.AUDIO),
        ("a.m4a", ("-vn",), MediaKind.AUDIO),
        ("a.wav", (), MediaKind.AUDIO),
        ("a.flac", (), MediaKind.AUDIO),
        ("a.ogg", ("-vn",), MediaKind.AUDIO),
        ("a.aac", (), MediaKind.AUDIO),
    ],
)
def test_probe__knows_the_kinds(  # pytest fills them by name
    ffmpeg: Ffmpeg, clip: Path, tmp_path: Path, name: str, options: tuple[str, ...], kind: MediaKind
) -> None:
    ffmpeg("-i", clip, "-t", "0.2", *options, tmp_path / name)

    info = probe(tmp_path / name)

    assert info.kind is kind
    assert info.has_video is (kind is not MediaKind.AUDIO)
    assert (info.duration is None) is (kind is MediaKind.IMAGE)


def test_probe__a_turned_clip_is_as_high_as_it_was_wide(ffmpeg: Ffmpeg, clip: Path, tmp_path: Path) -> None:
    ffmpeg("-display_rotation", "90", "-i", clip, "-c", "copy", tmp_path / "turned.mp4")

    info = probe(tmp_path / "turned.mp4")

    assert (info.width, info.height, info.rotation) == (180, 320, 270)


def test_probe__counts_wide_pixels_as_they_are_seen(ffmpeg: Ffmpeg, clip: Path, tmp_path: Path) -> None:
    ffmpeg("-i", clip, "-t", "0.2", "-vf", "scale=160:180,setsar=2", tmp_path / "wide.mp4")

    info = probe(tmp_path / "wide.mp4")

    assert (info.width, info.height) == (320, 180)


def test_probe__turns_a_picture_as_its_camera_was_held(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 32)).save(tmp_path / "held.jpg", exif=exif)

    info = probe(tmp_path / "held.jpg")

    assert (info.width, info.height, info.rotation) == (32, 64, 90)


def test_probe__a_cover_is_no_picture(ffmpeg: Ffmpeg, clip: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "cover.png")
    streams = ("-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v", "attached_pic")
    ffmpeg("-i", clip, "-i", tmp_path / "cover.png", *streams, tmp_path / "song.mp3")

    info = probe(tmp_path / "song.mp3")

    assert (info.kind, info.has_video) == (MediaKind.AUDIO, False)


def test_probe__content_decides_and_not_the_name(clip: Path, tmp_path: Path) -> None:
    misnamed = tmp_path / "clip.jpg"
    misnamed.write_bytes(clip.read_bytes())

    assert probe(misnamed).container == "mov"


def test_probe__missing(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.mp4") == "source_missing"


def test_probe__a_directory(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "source_unreadable"


@pytest.mark.parametrize("content", [b"", b"This is a letter.\n", b"\0" * 5000])
def test_probe__no_media(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.mp4"
    path.write_bytes(content)

    assert refusal(path) == "source_unreadable"


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {clip}\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "1\n00:00:00,000 --> 00:00:01,000\nA subtitle\n\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>',
    ],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_probe__never_follows_a_playlist(clip: Path, tmp_path: Path, playlist: str, name: str) -> None:
    path = tmp_path / name
    path.write_text(playlist.format(clip=clip))

    assert refusal(path) in {"unsupported_media", "source_unreadable"}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_probe__a_clip_that_is_cut_off(clip: Path, tmp_path: Path, share: float) -> None:
    whole = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(len(whole) * share)])

    assert refusal(path) == "source_unreadable"


@pytest.mark.parametrize("name", ["cut.png", "cut.jpg", "cut.webp", "cut.bmp"])
def test_probe__a_picture_that_is_cut_off(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:-600])

    assert refusal(path) == "source_unreadable"


def test_probe__an_animated_webp_is_refused(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])

    assert refusal(tmp_path / "a.webp") in {"unsupported_media", "source_unreadable"}
