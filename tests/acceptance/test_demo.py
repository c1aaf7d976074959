"""The demo as a newcomer runs it: a real file in, a playable video out."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localbase.stack import StackOptions, running_stack
from reelbase import JobStatus, Reelbase
from reelbase.worker.media import MediaKind, probe

pytestmark = pytest.mark.local_stack
COMMAND = [str(Path(sys.executable).with_name("reelbase")), "demo"]


def demo(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_demo__makes_the_video_and_shows_the_timeline(tmp_path: Path) -> None:
    output = tmp_path / "new" / "a [b]demo[/b] 'video'.mp4"

    result = demo("--output", output)

    assert (result.returncode, result.stderr) == (0, "")
    assert str(output) in result.stdout
    assert "job: completed" in result.stdout
    for step in ("validation", "download", "processing", "composition", "encoding", "upload", "cleanup"):
        assert f"│ {step}" in result.stdout
    media = probe(output)
    assert (media.kind, media.width, media.height, media.has_audio) == (MediaKind.VIDEO, 1280, 720, True)
    assert media.duration == pytest.approx(6.5, abs=0.1)


def test_demo__uses_the_user_s_file(tmp_path: Path, clip: Path) -> None:
    output = tmp_path / "out.mp4"

    result = demo("--source", clip, "--output", output)

    assert result.returncode == 0, result.stdout + result.stderr
    assert probe(output).duration == pytest.approx(1, abs=0.1)


def test_demo__kept_can_be_looked_at_afterwards(tmp_path: Path, clip: Path) -> None:
    result = demo("--source", clip, "--output", tmp_path / "out.mp4", "--keep")
    assert result.returncode == 0, result.stdout + result.stderr
    told = re.search(r"localbase start --workdir (\S+) --data-dir (\S+)", result.stdout)
    assert told is not None, result.stdout
    data = Path(told[2])

    options = StackOptions(workdir=Path(told[1]), api_port=0, db_port=0, data_dir=data)
    try:
        with (
            running_stack(options) as status,
            Reelbase(status.api_url, status.keys.service_role_key) as client,
        ):
            jobs = client.jobs.list().items
    finally:
        shutil.rmtree(data)

    assert [job.status for job in jobs] == [JobStatus.COMPLETED]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("missing.mp4", None, "does not exist"), ("notes.mp4", "not a video", "no video, picture or sound")],
)
def test_demo__of_a_bad_source_says_what_is_wrong(
    tmp_path: Path, name: str, content: str | None, words: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)

    result = demo("--source", tmp_path / name, "--output", tmp_path / "out.mp4")

    assert result.returncode == 1
    assert "The job failed in step" in result.stdout
    assert name in result.stdout
    assert words in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_demo__interrupted_ends_quietly_and_leaves_nothing_running(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--output", str(tmp_path / "out.mp4")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Created job" in line:
                break
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
