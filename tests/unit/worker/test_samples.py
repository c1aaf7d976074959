from pathlib import Path

from reelbase.worker.media import MediaKind, probe
from reelbase.worker.samples import make_samples


async def test_make_samples__two_clips_with_sound_and_a_picture(tmp_path: Path) -> None:
    first, second, picture = [probe(path) for path in await make_samples(tmp_path)]

    for clip in (first, second):
        assert (clip.kind, clip.width, clip.height, clip.has_audio) == (MediaKind.VIDEO, 640, 360, True)
        assert clip.duration == 6
    assert (picture.kind, picture.width, picture.height) == (MediaKind.IMAGE, 360, 360)
