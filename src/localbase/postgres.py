"""A Postgres server as a child of this process.

The server lives exactly as long as its owner: a guardian shuts it down when the owner stops or is killed.
Should the guardian be killed as well, the next start finds the orphan and stops it first.
"""

import re
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psycopg

from localbase import guardian
from localbase.account import hand_over, process_options
from localbase.binaries import Binaries, find_binaries
from localbase.directories import DataDirectory
from localbase.errors import LocalbaseError
from localbase.orphans import stop_orphan
from localbase.ports import HOST, claim_port

SUPERUSER = "supabase_admin"
# The local password everyone knows; the server listens on the loopback interface only.
PASSWORD = "postgres"  # noqa: S105
DATABASE = "postgres"

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 40.0
_POLL_S = 0.01
_PANIC = re.compile(r"PANIC:  (.*)")
# That it is not ready yet is what the server tells whoever asks too early.
_REASON = re.compile(r"(?:PANIC|FATAL):  (?!the database system is )(.*)")
# Left by a server whose processes are not all gone yet: worth another try.
_STILL_THERE = ("pre-existing shared memory block", "lock file")

_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "wal_level": "logical",
    "max_connections": "200",
    "max_wal_senders": "64",
    "max_replication_slots": "64",
    "max_worker_processes": "16",
    "log_min_messages": "warning",
}
# Data that goes with the stack need not survive a power cut. synchronous_commit stays on: logical decoding
# sends what is flushed, and without it the WAL writer flushes every 200 ms only. And little data is read in
# less time than a query is compiled in, by those builds of Postgres that can.
_EPHEMERAL_SETTINGS = {"fsync": "off", "full_page_writes": "off", "jit": "off"}


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """A database on a running local server."""

    port: int
    name: str = DATABASE

    def dsn(self, user: str = SUPERUSER) -> str:
        return f"postgresql://{user}:{PASSWORD}@{HOST}:{self.port}/{self.name}"


class PostgresServer:
    """One server on one data directory. `start` and `stop` block for a fraction of a second each."""

    def __init__(self, directory: DataDirectory, *, port: int = 0, bin_dir: Path | None = None) -> None:
        self.directory = directory
        self._wanted_port = port
        self._bin_dir = bin_dir
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int | None:
        """The guardian's process id while the server runs."""
        return self._process.pid if self._process else None

    def database(self, name: str = DATABASE) -> DatabaseAddress:
        return DatabaseAddress(self._port, name)

    def start(self) -> bool:
        """Start the server and wait until it answers. True when the cluster was made just now."""
        binaries = find_binaries(self.directory.account, self._bin_dir)
        created = self._initialise(binaries)
        stop_orphan(self.directory.pgdata)
        self._port = claim_port(self._wanted_port)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._launched(binaries, deadline):
            time.sleep(_POLL_S)
        return created

    def stop(self) -> None:
        """Shut down and wait for the end. Connections that are still open are closed by the server."""
        if self._process is None:
            return
        process, self._process = self._process, None
        _pipe(process).close()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def panic(self) -> str | None:
        """Why the server gave up, if it did, as a full disk makes it do."""
        found = _PANIC.findall(self._said())
        return found[-1] if found else None

    def _initialise(self, binaries: Binaries) -> bool:
        pgdata = self.directory.pgdata
        if (pgdata / "PG_VERSION").exists():
            self._check_version(binaries)
            return False
        password = self.directory.path / "password"
        password.write_text(PASSWORD)
        hand_over(self.directory.account, password)
        try:
            _run_initdb(self.directory, binaries, password)
        finally:
            password.unlink()
        return True

    def _check_version(self, binaries: Binaries) -> None:
        made_by = int((self.directory.pgdata / "PG_VERSION").read_text())
        if made_by != binaries.major:
            raise LocalbaseError(
                f"The data in {self.directory.path} belongs to Postgres {made_by}, this is {binaries.major}.",
                f"Use the older server, or remove {self.directory.path} to begin anew.",
            )

    def _launched(self, binaries: Binaries, deadline: float) -> bool:
        """One try: True when the server answers, False when it is worth another try."""
        with self.directory.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = self._spawn(binaries, log)
        while self._process.poll() is None:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                self.stop()
                raise LocalbaseError(
                    f"Postgres did not answer within {_START_TIMEOUT_S:.0f} seconds.",
                    f"See {self.directory.log}.",
                )
            time.sleep(_POLL_S)
        self.stop()
        return self._worth_another_try(deadline)

    def _spawn(self, binaries: Binaries, log: IO[bytes]) -> subprocess.Popen[bytes]:
        account = self.directory.account
        ids = ["-", "-"] if account is None else [str(account.uid), str(account.gid)]
        settings = {**_SETTINGS, **(_EPHEMERAL_SETTINGS if self.directory.ephemeral else {})}
        return subprocess.Popen(  # noqa: S603  our own program, and the installation's
            [
                *(sys.executable, "-I", "-S", guardian.__file__, *ids),
                *(binaries.postgres, "-D", self.directory.pgdata, "-p", str(self._port)),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # Ctrl-C in a terminal reaches the whole group; the server is stopped by its owner alone.
            start_new_session=True,
        )

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.database("template1").dsn(), connect_timeout=5).close()
            return True
        return False

    def _said(self) -> str:
        """What is in the log since the last launch."""
        with self.directory.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _worth_another_try(self, deadline: float) -> bool:
        said = self._said()
        if any(sign in said for sign in _STILL_THERE) and time.monotonic() < deadline:
            return False
        found = _REASON.search(said)
        reason = found[1] if found else said.strip()[-300:]
        raise LocalbaseError(f"Postgres did not start: {reason}.", f"See {self.directory.log}.")


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:
        raise RuntimeError("the guardian is always started with a pipe")
    return process.stdin


def _run_initdb(directory: DataDirectory, binaries: Binaries, password: Path) -> None:
    done = subprocess.run(  # noqa: S603  the installation's own program
        [
            *(binaries.initdb, "-D", directory.pgdata, "-U", SUPERUSER, f"--pwfile={password}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", *_locale(binaries.major)),
            *(["--no-sync"] if directory.ephemeral else []),
        ],
        capture_output=True,
        text=True,
        cwd="/",
        check=False,
        start_new_session=True,  # Ctrl-C is for localbase, which tidies up itself
        **process_options(directory.account),
    )
    if done.returncode != 0:
        raise LocalbaseError(
            f"The database in {directory.pgdata} could not be made: {done.stderr.strip()[-500:]}",
            "Is the folder writable and the disk not full?",
        )


def _locale(major: int) -> list[str]:
    """Byte order everywhere, so that results do not depend on the machine's locale."""
    built_in = 17
    if major >= built_in:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8"]
