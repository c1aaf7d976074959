"""Where localbase keeps things on disk, and who holds a place at the moment."""

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from localbase.account import Account, can_enter, hand_over
from localbase.errors import LocalbaseError
from localbase.locks import FileLock

HOME_VARIABLE = "LOCALBASE_HOME"
_EPHEMERAL_PREFIX = "localbase-"
_LOCK = "lock"


def home() -> Path:
    """The folder that holds one folder for each project."""
    if chosen := os.environ.get(HOME_VARIABLE):
        return Path(chosen)
    # Root's own home is closed to the user that runs Postgres.
    return Path("/var/lib/localbase") if os.geteuid() == 0 else Path(platformdirs.user_data_dir("localbase"))


def project_directory(workdir: Path) -> Path:
    """The folder of a project: named after its working directory, readable and unique."""
    resolved = workdir.resolve()
    slug = re.sub(r"[^a-z0-9]+", "-", resolved.name.lower()).strip("-") or "project"
    return home() / f"{slug}-{hashlib.sha256(str(resolved).encode()).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """One server's files, owned by whoever holds `lock`."""

    path: Path
    account: Account | None
    lock: FileLock
    ephemeral: bool = False

    @property
    def pgdata(self) -> Path:
        return self.path / "pgdata"

    @property
    def log(self) -> Path:
        return self.path / "postgres.log"

    def release(self) -> None:
        """Give the place up; an ephemeral one disappears."""
        if self.ephemeral:
            shutil.rmtree(self.path)
        self.lock.release()


def open_data_directory(path: Path, account: Account | None) -> DataDirectory:
    """Take a folder for data that stays. Raises LocalbaseError when it is taken or out of reach."""
    _check_reach(_nearest_existing(path), path, account)
    _make(path)
    lock = FileLock.acquire(path / _LOCK)
    if lock is None:
        raise LocalbaseError(f"The data directory {path} is in use by another stack.", "Choose another one.")
    hand_over(account, path)
    return DataDirectory(path, account, lock)


def new_ephemeral_directory(account: Account | None) -> DataDirectory:
    """A folder that goes with its stack. Its lock is taken before anybody could take it for abandoned."""
    path = Path(tempfile.mkdtemp(prefix=_EPHEMERAL_PREFIX))
    lock = FileLock.acquire(path / _LOCK)
    if lock is None:
        raise LocalbaseError(f"Somebody else took the new folder {path}.", "Start again.")
    directory = DataDirectory(path, account, lock, ephemeral=True)
    try:
        hand_over(account, path)
        _check_reach(path, path, account)
    except BaseException:
        directory.release()
        raise
    return directory


def abandoned_directories(account: Account | None) -> list[DataDirectory]:
    """Ephemeral folders whose stack was killed, taken over."""
    found = []
    for path in Path(tempfile.gettempdir()).glob(f"{_EPHEMERAL_PREFIX}*/"):
        if not _is_ours(path, account) or not (path / _LOCK).exists():
            continue
        lock = FileLock.acquire(path / _LOCK)
        if lock is not None:
            found.append(DataDirectory(path, account, lock, ephemeral=True))
    return found


def _is_ours(path: Path, account: Account | None) -> bool:
    """Whether we made the folder: the system's temporary folder has other users' stacks too."""
    owners = {os.geteuid(), account.uid if account else os.geteuid()}
    return path.lstat().st_uid in owners


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
        foreign = not (path / _LOCK).exists() and any(path.iterdir())
    except OSError as error:
        raise LocalbaseError(
            f"The data directory {path} cannot be used: {error.strerror}.",
            "Choose another one with --data-dir.",
        ) from error
    if foreign:
        # It is about to be given to another user; that must never happen to somebody's own folder.
        raise LocalbaseError(
            f"{path} is not empty and holds no data of localbase.",
            "Choose a new or empty folder with --data-dir.",
        )


def _nearest_existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _check_reach(folder: Path, path: Path, account: Account | None) -> None:
    if not can_enter(account, folder):
        who = account.name if account else "the current user"
        raise LocalbaseError(
            f"The data directory {path} cannot be reached by {who}, who runs Postgres.",
            "Choose a folder outside closed home directories with --data-dir.",
        )
