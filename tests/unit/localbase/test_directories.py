"""Which folders count as left behind by a killed stack."""

import os
import tempfile
from pathlib import Path

import pytest

from localbase.directories import abandoned_directories


@pytest.fixture(autouse=True)
def _temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def left_behind(tmp_path: Path) -> Path:
    folder = tmp_path / "localbase-x"
    folder.mkdir()
    (folder / "lock").touch()
    return folder


def test_abandoned_directory__is_taken_over(tmp_path: Path) -> None:
    folder = left_behind(tmp_path)

    (found,) = abandoned_directories(None)
    found.release()

    assert found.path == folder
    assert not folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
def test_abandoned_directory_of_another_user__is_left_alone(tmp_path: Path) -> None:
    os.chown(left_behind(tmp_path), 12345, 12345)

    assert abandoned_directories(None) == []
