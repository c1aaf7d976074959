"""A server that outlived its owner and its guardian, known by the process id file it left."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from localbase.errors import LocalbaseError

_PATIENCE_S = 30.0
_POLL_S = 0.02


def stop_orphan(pgdata: Path) -> None:
    """Stop a server that still runs on this data directory, and clear what a dead one left.

    The caller holds the directory's lock, so nobody owns the server that is found.
    """
    pid_file = pgdata / "postmaster.pid"
    pid = _recorded_pid(pid_file)
    if pid is None:
        return
    if not _serves(pid, pgdata):
        # After a reboot or in a container the number may belong to anything; Postgres itself would only
        # look whether such a process exists, and refuse to start.
        pid_file.unlink(missing_ok=True)
        return
    for how, patience in ((signal.SIGINT, _PATIENCE_S), (signal.SIGQUIT, _PATIENCE_S)):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        if _gone(pid, pgdata, patience):
            return
    raise LocalbaseError(f"Process {pid} still serves {pgdata} and does not stop.", f"End process {pid}.")


def _recorded_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _gone(pid: int, pgdata: Path, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while _serves(pid, pgdata):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _serves(pid: int, pgdata: Path) -> bool:
    return str(pgdata) in _command(pid)


def _command(pid: int) -> list[str]:
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            return []
    listed = subprocess.run(  # noqa: S603  a number, nothing else
        ["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.split()
