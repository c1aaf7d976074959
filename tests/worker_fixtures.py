"""Rows as the database would return them, and small sources of every kind."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from reelbase.models import Element, Job
from reelbase.worker.encoder import find_ffmpeg

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def _job(**columns: Any) -> Job:
    empty = dict.fromkeys(Job.model_fields)
    row = {"id": uuid4(), "status": "processing", "is_terminal": False, "output_format": "mp4", "fps": 25}
    size = {"width": 320, "height": 180, "progress_percentage": 0, "response_type": "async", "event_seq": 1}
    counts = dict.fromkeys(("priority", "retry_count", "max_retries", "rescue_count", "replays"), 0)
    times = dict.fromkeys(("created_at", "updated_at", "available_at"), MOMENT)
    return Job.model_validate(empty | row | size | counts | times | columns)


def _element(**columns: Any) -> Element:
    empty = dict.fromkeys(Element.model_fields)
    row = {"id": uuid4(), "job_id": uuid4(), "type": "video", "source_url": "https://example.com/a.mp4"}
    place = {"element_order": 1, "track": 0, "x_position": "0", "y_position": "0", "fit_mode": "auto"}
    times = {"start_time": 0, "created_at": MOMENT, "updated_at": MOMENT}
    state = {"source_kind": "web", "downloaded": False, "processed": False, "processing_state": "pending"}
    return Element.model_validate(empty | row | place | times | state | {"z_index": 0} | columns)


@pytest.fixture
def make_job() -> Callable[..., Job]:
    return _job


@pytest.fixture
def make_element() -> Callable[..., Element]:
    return _element


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., None]:
    def run(*arguments: str | Path) -> None:
        command = [find_ffmpeg(), "-nostdin", "-v", "error", "-y", *arguments]
        subprocess.run(command, check=True, timeout=60)

    return run


@pytest.fixture(scope="session")
def clip(ffmpeg: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One second of 320x180 at 25 frames with sound; the index in front."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    picture, sound = "testsrc2=size=320x180:rate=25:duration=1", "sine=duration=1"
    shape = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
    ffmpeg("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *shape, path)
    return path
