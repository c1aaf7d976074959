"""Which project's stack runs where: a small file per project, found by the working directory."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from localbase.directories import project_directory
from localbase.errors import LocalbaseError
from localbase.keys import Keys
from localbase.locks import FileLock
from localbase.ports import HOST
from localbase.postgres import DatabaseAddress
from localbase.stack import StackStatus

_STOP_TIMEOUT_S = 60.0
_POLL_S = 0.05
# Another command may hold the lock for an instant, to see whether it is free.
_PATIENCE_S = 0.3


@dataclass(frozen=True, slots=True)
class Record:
    """What other commands need to know of a running stack."""

    pid: int
    workdir: str
    api_port: int
    db_port: int
    jwt_secret: str = field(repr=False)

    @classmethod
    def of(cls, workdir: Path, status: StackStatus) -> Self:
        return cls(
            pid=os.getpid(),
            workdir=str(workdir.resolve()),
            api_port=int(status.api_url.rpartition(":")[2]),
            db_port=status.database.port,
            jwt_secret=status.keys.jwt_secret,
        )

    @property
    def status(self) -> StackStatus:
        return StackStatus(
            f"http://{HOST}:{self.api_port}", DatabaseAddress(self.db_port), Keys.local(self.jwt_secret)
        )


class Registry:
    """The place of one project. Whoever holds its lock runs the stack; the lock ends with its process."""

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self._folder = project_directory(workdir)
        self._file = self._folder / "stack.json"

    @property
    def log(self) -> Path:
        return self._folder / "stack.log"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the place. Raises LocalbaseError when the project's stack is running."""
        lock = self._lock(_PATIENCE_S)
        if lock is None:
            raise LocalbaseError(
                f"A stack for {self._workdir.resolve()} is already running.",
                "See `localbase status`; end it with `localbase stop`.",
            )
        try:
            yield
        finally:
            self._file.unlink(missing_ok=True)
            lock.release()

    def write(self, record: Record) -> None:
        draft = self._file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(self._file)

    def read(self) -> Record | None:
        """The running stack, None when there is none or it is not ready yet."""
        return None if self._is_free() else self.peek()

    def peek(self) -> Record | None:
        """What is written, without a look whether it still holds."""
        try:
            return Record(**json.loads(self._file.read_text()))
        except FileNotFoundError:
            return None

    def running(self) -> Record:
        record = self.read()
        if record is None:
            raise LocalbaseError(
                f"No stack is running for {self._workdir.resolve()}.", "Start it with `localbase start`."
            )
        return record

    def stop(self) -> None:
        """End the running stack and wait until it is gone."""
        pid = self.running().pid
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while not self._is_free():
            if time.monotonic() > deadline:
                raise LocalbaseError(f"The stack (process {pid}) does not stop.", f"End process {pid}.")
            time.sleep(_POLL_S)

    def _is_free(self) -> bool:
        if not self._folder.exists():
            return True
        lock = self._lock()
        if lock is None:
            return False
        lock.release()
        return True

    def _lock(self, patience: float = 0.0) -> FileLock | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return FileLock.acquire(self._folder / "lock", patience)
        except OSError as error:
            raise LocalbaseError(
                f"{self._folder} cannot be written: {error.strerror}.",
                "Name another place in LOCALBASE_HOME.",
            ) from error
