from pathlib import Path

from localbase.locks import FileLock


def test_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first = FileLock.acquire(path)
    assert first is not None

    assert FileLock.acquire(path) is None

    first.release()
    second = FileLock.acquire(path)
    assert second is not None
    second.release()
