"""What the client makes of a database that dies and comes back."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from integration.localbase.projects import Project
from localbase.ports import claim_port
from reelbase import AsyncReelbase, Reelbase
from reelbase.execution.retry import RetryPolicy
from support import AnyClient, done, eventually

pytestmark = pytest.mark.local_stack

MIGRATIONS = Path(__file__).parents[2] / "supabase"
PATIENT = RetryPolicy(attempts=10**6)


class Stack:
    """A stack that can be killed, and started again with its data at the same address."""

    def __init__(self, home: Path) -> None:
        (home / "demo").mkdir()
        (home / "demo" / "supabase").symlink_to(MIGRATIONS)
        self.project = Project(home / "demo", {**os.environ, "LOCALBASE_HOME": str(home)})
        self._ports = [f"--api-port={claim_port(0)}", f"--db-port={claim_port(0)}"]
        self.status = self.start()

    def start(self) -> dict[str, str]:
        started = self.project.run("start", "--detach", *self._ports)
        assert started.returncode == 0, started.stderr
        return self.project.status()

    def kill(self) -> None:
        for pid in (self.project.pid(), self.project.server_pid()):
            os.kill(pid, signal.SIGKILL)

    def rows(self, agent: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.status["DB_URL"]) as session:
            return session.execute("select id from public.jobs where user_agent = %s", (agent,)).fetchall()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Of this module's own; in a folder that the user who runs Postgres can enter."""
    with tempfile.TemporaryDirectory(prefix="test-reelbase-") as folder:
        Path(folder).chmod(0o755)
        stack = Stack(Path(folder))
        yield stack
        stack.project.run("stop")


@pytest.fixture(params=["sync", "async"])
async def client(request: pytest.FixtureRequest, stack: Stack) -> AsyncIterator[AnyClient]:
    """One that is patient, in each mode."""
    mode = Reelbase if request.param == "sync" else AsyncReelbase
    client: AnyClient = mode(stack.status["API_URL"], stack.status["SERVICE_ROLE_KEY"], timeout=60)
    client._executor._retry = PATIENT
    with ExitStack() as closing:
        if request.param == "sync":
            closing.callback(client.close)
        yield client
    if request.param == "async":
        await client.aclose()


async def test_create__while_the_stack_is_killed_and_started_again_makes_one_job(
    stack: Stack, client: AnyClient
) -> None:
    agent = str(uuid4())
    first = await done(client.jobs.create("mp4", 64, 64))
    stack.kill()
    starting = asyncio.create_task(asyncio.to_thread(stack.start))

    if isinstance(client, Reelbase):
        job = await asyncio.to_thread(client.jobs.create, "mp4", 64, 64, user_agent=agent)
    else:
        job = await client.jobs.create("mp4", 64, 64, user_agent=agent)

    await starting
    assert stack.rows(agent) == [(job.id,)]
    assert (await done(client.jobs.get(first.id))).id == first.id


async def test_create__while_postgres_recovers_from_a_crash_makes_one_job(
    stack: Stack, client: AnyClient
) -> None:
    agent = str(uuid4())
    await done(client.jobs.create("mp4", 64, 64))
    with psycopg.connect(stack.status["DB_URL"], autocommit=True) as session:
        # Any process that dies like that makes the server end all others and recover.
        os.kill(session.info.backend_pid, signal.SIGKILL)

        job = await done(client.jobs.create("mp4", 64, 64, user_agent=agent))

    assert stack.rows(agent) == [(job.id,)]


def roll_back(session: psycopg.Connection[tuple[object, ...]]) -> None:
    """Use up numbers of transactions that change nothing: a crash forgets them, and they are used again."""
    for _ in range(20):
        with session.transaction(force_rollback=True):
            session.execute("select pg_current_xact_id()")


async def test_cursor__from_before_a_crash_skips_nothing_that_comes_after(
    stack: Stack, client: AnyClient
) -> None:
    await done(client.jobs.create("mp4", 64, 64))
    with psycopg.connect(stack.status["DB_URL"], autocommit=True) as session:
        roll_back(session)
        page = await done(client.events.read_all(max_events=1000))
        now = await done(client.events.cursor())
        os.kill(session.info.backend_pid, signal.SIGKILL)

    jobs = [(await done(client.jobs.create("mp4", 64, 64))).id for _ in range(3)]

    for cursor in (page.next_cursor, now):
        later = await done(client.events.read_all(after=cursor))
        assert [event.job_id for event in later.items] == jobs


async def test_cursor__of_system_events_neither(stack: Stack, client: AnyClient) -> None:
    name = f"chaos.{uuid4().hex}"
    await done(client.metrics.set_threshold(name, critical=5))
    with psycopg.connect(stack.status["DB_URL"], autocommit=True) as session:
        roll_back(session)
        page = await done(client.metrics.read_system_events(max_events=1000))
        now = await done(client.metrics.system_event_cursor())
        os.kill(session.info.backend_pid, signal.SIGKILL)

    await eventually(lambda: done(client.metrics.thresholds()))
    await done(client.metrics.record(name, 6))

    for cursor in (page.next_cursor, now):
        later = await done(client.metrics.read_system_events(after=cursor))
        assert [event.data["metric"] for event in later.items] == [name]
