import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelbase.worker.encoder import encode, find_ffmpeg, progress
from reelbase.worker.errors import RenderError

# Many times real time, and still far from its end when a test stops it.
LONG = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30:duration=3600", "-c:v", "mpeg4"]
Children = Callable[[], list[psutil.Process]]
SHORT = ["-f", "lavfi", "-i", "testsrc2=size=64x36:rate=25:duration=1"]


async def unheard(_: float) -> None:
    """Nobody watches."""


@pytest.fixture
def children() -> Callable[[], list[psutil.Process]]:
    """Processes that this one began since the test did; the run has others, with children of their own."""
    this = psutil.Process()
    before = set(this.children())
    return lambda: [child for child in this.children() if child not in before]


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


async def test_encode__makes_the_file_and_tells_how_far_it_is(tmp_path: Path) -> None:
    heard: list[float] = []

    async def on_progress(percent: float) -> None:
        heard.append(percent)

    await encode([*SHORT, str(tmp_path / "a.mp4")], duration=1, on_progress=on_progress)

    assert (tmp_path / "a.mp4").stat().st_size > 0
    assert heard == sorted(heard)
    assert heard[-1] == 100


async def test_encode__cancelled_leaves_neither_process_nor_file(tmp_path: Path, children: Children) -> None:
    begun = asyncio.Event()

    async def on_progress(_: float) -> None:
        begun.set()

    output = tmp_path / "a.mp4"
    task = asyncio.create_task(encode([*LONG, str(output)], duration=3600, on_progress=on_progress))
    await begun.wait()
    (ffmpeg,) = children()
    assert output.exists()
    assert ffmpeg.nice() > os.getpriority(os.PRIO_PROCESS, 0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert not ffmpeg.is_running()
    assert not output.exists()


async def test_encode__stops_when_its_listener_fails(tmp_path: Path, children: Children) -> None:
    async def on_progress(_: float) -> None:
        raise LookupError("the job is gone")

    with pytest.raises(LookupError, match="the job is gone"):
        await encode([*LONG, str(tmp_path / "a.mp4")], duration=3600, on_progress=on_progress)

    assert children() == []
    assert not (tmp_path / "a.mp4").exists()


async def test_encode__keeps_no_file_that_nobody_was_told_of(tmp_path: Path) -> None:
    async def on_progress(percent: float) -> None:
        if percent == 100:
            raise LookupError("the job is gone")

    with pytest.raises(LookupError):
        await encode([*SHORT, str(tmp_path / "a.mp4")], duration=1, on_progress=on_progress)

    assert not (tmp_path / "a.mp4").exists()


async def test_encode__kills_what_does_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    deaf = "trap '' TERM\necho out_time_us=500000\nwhile :; do read -r line < /dev/zero; done"
    script(tmp_path / "ffmpeg", deaf)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("reelbase.worker.encoder._GRACE", 0.05)
    begun = asyncio.Event()

    async def on_progress(_: float) -> None:
        begun.set()

    task = asyncio.create_task(encode([str(tmp_path / "a.mp4")], duration=1, on_progress=on_progress))
    await begun.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


async def test_encode__a_failure_tells_the_end_of_what_ffmpeg_said(tmp_path: Path) -> None:
    missing = tmp_path / "none.mp4"

    with pytest.raises(RenderError, match="No such file") as caught:
        await encode(["-i", str(missing), str(tmp_path / "a.mp4")], duration=1, on_progress=unheard)

    assert caught.value.code == "encoding_failed"
    assert caught.value.details["exit_code"] > 0
    assert "none.mp4" in caught.value.details["stderr"]


async def test_encode__what_ffmpeg_said_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "ffmpeg", "head -c 500000 /dev/zero | tr '\\0' x >&2\necho last >&2\nexit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(RenderError) as caught:
        await encode([str(tmp_path / "a.mp4")], duration=1, on_progress=unheard)

    assert len(caught.value.details["stderr"]) <= 4000
    assert caught.value.details["stderr"].endswith("last")


async def test_encode__names_the_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "ffmpeg", "kill -9 $$")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(RenderError, match="signal 9"):
        await encode([str(tmp_path / "a.mp4")], duration=1, on_progress=unheard)


async def test_encode__an_encoder_that_is_not_built_in_is_an_unsupported_format(tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught:
        await encode([*SHORT, "-c:v", "none", str(tmp_path / "a.mp4")], duration=1, on_progress=unheard)

    assert caught.value.code == "unsupported_format"


async def test_encode__an_ffmpeg_that_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ffmpeg").write_bytes(b"\0")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(RenderError) as caught:
        await encode([str(tmp_path / "a.mp4")], duration=1, on_progress=unheard)

    assert caught.value.code == "ffmpeg_missing"


@pytest.mark.parametrize(
    ("body", "code", "may_pass"),
    [
        ("kill -9 $$", "encoding_failed", True),
        ("echo 'Unknown encoder x' >&2; exit 8", "unsupported_format", True),
        ("echo 'a.mp4: No space left on device' >&2; exit 228", "disk_full", True),
        ("exit 127", "ffmpeg_missing", True),
        ("echo 'Invalid data found' >&2; exit 183", "encoding_failed", False),
    ],
)
async def test_encode__tells_what_may_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, code: str, may_pass: bool
) -> None:
    script(tmp_path / "ffmpeg", body)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(RenderError) as caught:
        await encode([str(tmp_path / "a.mp4")], duration=1, on_progress=unheard)

    assert (caught.value.code, caught.value.transient) == (code, may_pass)


async def test_encode__cancelled_twice_leaves_nothing_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, children: Children
) -> None:
    script(tmp_path / "ffmpeg", "trap '' TERM\necho out_time_us=500000\nwhile :; do sleep 0.1; done")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    begun = asyncio.Event()

    async def on_progress(_: float) -> None:
        begun.set()

    task = asyncio.create_task(encode([str(tmp_path / "a.mp4")], duration=1, on_progress=on_progress))
    await begun.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=0.2)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == []


def test_find_ffmpeg__prefers_the_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = script(tmp_path / "ffmpeg", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_ffmpeg() == own


def test_find_ffmpeg__else_takes_the_wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("IMAGEIO_FFMPEG_EXE", raising=False)

    assert "imageio_ffmpeg" in str(find_ffmpeg())


def test_find_ffmpeg__tells_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    # What Python does with a name that stands for None: the import fails.
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)

    with pytest.raises(RenderError, match="pip install") as caught:
        find_ffmpeg()

    assert caught.value.code == "ffmpeg_missing"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("out_time_us=500000\n", 25.0),
        ("out_time_us=9000000", 99.0),
        ("out_time_us=0", 0.0),
        ("out_time_us=N/A", None),
        ("out_time_us=-21000", None),
        ("out_time=00:00:01.0", None),
        ("progress=end", None),
        ("", None),
    ],
)
def test_progress__reads_ffmpegs_report(line: str, expected: float | None) -> None:
    assert progress(line, 2.0) == expected


@given(st.text(max_size=30), st.floats(0, 1e6))
def test_progress__any_line_is_percent_or_nothing(line: str, duration: float) -> None:
    percent = progress(f"out_time_us={line}", duration)

    assert percent is None or 0 <= percent <= 99
