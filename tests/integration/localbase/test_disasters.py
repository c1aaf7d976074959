"""Kills in the middle of writing, and a disk without space: what was answered for stays."""

import asyncio
import itertools
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import psycopg
import pytest

from integration.localbase.projects import ANY_PORTS, Project
from support import eventually

pytestmark = pytest.mark.local_stack

GRANT = "grant all on public.notes to service_role;"
MIB = 1024 * 1024
DISK = 200 * MIB
# Enough for some rows, and not for another file of the write-ahead log, which has 16 MiB.
LEFT = 4 * MIB
MOST_ROWS = 1000


@pytest.fixture
def project(project: Project) -> Project:
    project.add_migration("20250102000000_grant.sql", GRANT)
    return project


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = home / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", disk]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture
def crowded(
    small_disk: Path,  # noqa: ARG001  it goes last that way
    project: Project,
) -> Iterator[Project]:
    """A project whose data may be on the small disk: it is stopped before that goes."""
    yield project
    project.run("stop")


class Writer:
    """Inserts one row after the other, and remembers those that were acknowledged."""

    def __init__(self, status: dict[str, str]) -> None:
        self._url = f"{status['API_URL']}/rest/v1/notes"
        self._headers = {"apikey": status["SECRET_KEY"]}
        self._ids = itertools.count(100)
        self.acknowledged: list[int] = []

    async def write(self, body: str, most: int = MOST_ROWS) -> httpx.Response | None:
        """Until the first refusal, which is given back."""
        async with httpx.AsyncClient(headers=self._headers, timeout=20) as http:
            for number in itertools.islice(self._ids, most):
                response = await http.post(self._url, json={"id": number, "body": body})
                if response.status_code != httpx.codes.CREATED:
                    return response
                self.acknowledged.append(number)
        return None

    def missing(self, status: dict[str, str]) -> set[int]:
        """The acknowledged rows that are not there."""
        with psycopg.connect(status["DB_URL"]) as connection:
            found = connection.execute("select id from public.notes").fetchall()
        return set(self.acknowledged).difference(number for (number,) in found)


async def test_kill_while_writing(project: Project) -> None:
    writer = Writer(project.start())

    async with _until_refused(writer, 4):
        await eventually(lambda: _assert_busy(writer))
        for pid in (project.pid(), project.server_pid()):
            os.kill(pid, signal.SIGKILL)

    assert writer.missing(project.start()) == set()


async def test_full_disk__writes_are_refused_until_there_is_space(crowded: Project, small_disk: Path) -> None:
    status = crowded.start(f"--data-dir={small_disk / 'data'}")
    _begin_log_file(status)
    writer, ballast = Writer(status), _fill(small_disk)

    # Nothing that could be compressed.
    refusal = await writer.write(os.urandom(200_000).hex())
    assert refusal is not None
    assert (refusal.status_code, refusal.json()["code"]) == (503, "53100")
    assert "No space left on device" in refusal.json()["message"]
    assert writer.missing(status) == set()

    ballast.unlink()
    assert await writer.write("small", 10) is None
    assert writer.missing(status) == set()


async def test_full_disk__without_space_for_the_log_the_stack_ends_and_says_why(
    crowded: Project, small_disk: Path
) -> None:
    start = f"--data-dir={small_disk / 'data'}"
    status = crowded.start(start)
    writer, ballast = Writer(status), _fill(small_disk)

    async with _until_refused(writer, 1):
        await asyncio.to_thread(_fill_log, status)
    await eventually(lambda: _assert_ended(crowded))
    (log,) = small_disk.parent.glob("*/stack.log")
    assert "Postgres ended unexpectedly: could not write to file" in log.read_text()
    refused = crowded.run("start", "--detach", *ANY_PORTS, start)
    assert refused.returncode == 1
    assert "No space left on device" in refused.stderr

    ballast.unlink()
    assert writer.missing(crowded.start(start)) == set()


@asynccontextmanager
async def _until_refused(writer: Writer, number: int) -> AsyncIterator[None]:
    """So many clients write meanwhile, each for as long as it can."""

    async def write() -> None:
        # What was being answered when the process went has no answer.
        with suppress(httpx.TransportError):
            await writer.write("small")

    async with asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(write())
        yield


def _fill(disk: Path) -> Path:
    """Leave hardly any space. Gives the file to remove in order to have it back."""
    state, ballast = os.statvfs(disk), disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - LEFT)
    return ballast


def _begin_log_file(status: dict[str, str]) -> None:
    """So that tables meet the end of the disk before the write-ahead log does."""
    with psycopg.connect(_as_superuser(status), autocommit=True) as connection:
        connection.execute("select pg_switch_wal()")
        connection.execute("update public.notes set body = body")


def _as_superuser(status: dict[str, str]) -> str:
    return status["DB_URL"].replace("//postgres:", "//supabase_admin:")


def _fill_log(status: dict[str, str]) -> None:
    """Write into the write-ahead log alone, until the server goes down."""
    with psycopg.connect(status["DB_URL"], autocommit=True) as connection, suppress(psycopg.Error):
        for _ in range(100):
            connection.execute("select pg_logical_emit_message(true, 'test', repeat('x', 1000000))")


def _assert_busy(writer: Writer) -> None:
    assert len(writer.acknowledged) > 200


def _assert_ended(project: Project) -> None:
    assert project.run("status").returncode == 1
