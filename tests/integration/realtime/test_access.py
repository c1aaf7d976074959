"""Who sees which job's events, tried on the server itself: on a raw socket, in the log and on topics.

Nothing of the client's stands between an actor and the server here, other than the stream in its own test.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from api import OWNER, answer, headers
from live_world import Wire, reading, wired
from reelbase import AsyncReelbase, Job, JobStatus, NotFound
from reelbase.realtime.source import Source
from support import Target, eventually

pytestmark = pytest.mark.local_stack
"""The database is told to broadcast."""

OTHER = uuid4()
BACKENDS = {"service_account", "admin", "service_key"}
ACTORS = [
    "anonymous",
    "watcher",
    "watching_user",
    "owner",
    "stranger",
    "pretender",
    *sorted(BACKENDS),
]
SEE_WATCHED = {"watcher", "watching_user", "owner", *BACKENDS}
"""Who sees the owner's job, for which the watch tokens are."""


@dataclass
class World:
    """A job of the owner's and one of somebody else's, both at work."""

    target: Target
    backend: AsyncReelbase
    watched: Job
    other: Job
    wires: dict[tuple[str, Source], Wire] = field(default_factory=dict)

    @property
    def jobs(self) -> tuple[Job, Job]:
        return self.watched, self.other

    def token(self, actor: str) -> str:
        if actor == "watching_user":
            # Whose own job it is not: the token is for the one job alone.
            return self.target.token(sub=str(OTHER), watch_job_id=str(self.watched.id))
        return headers(self.target, actor, self.watched.id)["Authorization"].removeprefix("Bearer ")

    def key(self, actor: str) -> str:
        return headers(self.target, actor, self.watched.id)["apikey"]

    def client(self, actor: str) -> AsyncReelbase:
        return AsyncReelbase(self.target.url, self.key(actor), access_token=self.token(actor))

    def seen_by(self, actor: str) -> tuple[Job, ...]:
        """The jobs that an actor may see."""
        return self.jobs if actor in BACKENDS else self.jobs[:1] if actor in SEE_WATCHED else ()

    async def write(self) -> None:
        """An event of each job; the others after it tell that it has been delivered."""
        for progress in (10, 20):
            for job in self.jobs:
                await self.backend.jobs.update_progress(job.id, progress)


@pytest.fixture
async def world(own_target: Target) -> AsyncIterator[World]:
    with own_target.connect() as session:
        session.execute("update private.settings set value = 'true' where name = 'broadcast_job_events'")
    async with own_target.service() as backend:
        jobs = []
        for user in (OWNER, OTHER):
            job = await backend.jobs.create("mp4", 64, 64, user_id=user)
            jobs.append(await backend.jobs.update_status(job.id, JobStatus.PROCESSING))
        yield World(own_target, backend, *jobs)


async def seen_by_sockets(world: World, sources: dict[str, Source]) -> dict[str, set[tuple[str, UUID]]]:
    """What each actor has seen of the two events: pairs of the name of a source and a job."""
    async with AsyncExitStack() as stack:
        wires = {}
        for actor in ACTORS:
            # A socket each: after a refused join the real server lets a socket wait.
            for name, source in sources.items():
                wire = await stack.enter_async_context(wired(world.target, world.key(actor)))
                wires[actor, name] = wire, await wire.join(source, world.token(actor))
        await asyncio.gather(*(answered(*wires[actor, name], sources[name]) for actor, name in wires))
        await world.write()
        last = {job.id: job.event_seq + 2 for job in world.jobs}

        def has_all() -> None:
            for name, job_id in expected(sources, world):
                wire, topic = wires["service_key", name]
                assert last[job_id] in wire.seqs(topic, job_id)

        await eventually(has_all)
        # What the server had to say to the others it has said, too.
        for wire, _ in wires.values():
            await wire.send("phoenix", "heartbeat", {})
        await eventually(lambda: [wire.answer("phoenix") for wire, _ in wires.values()])
        return {
            actor: {
                (name, job.id)
                for name in sources
                for job in world.jobs
                if wires[actor, name][0].seqs(wires[actor, name][1], job.id)
            }
            for actor in ACTORS
        }


async def answered(wire: Wire, topic: str, source: Source) -> None:
    await eventually(lambda: wire.answer(topic))
    if not source.is_broadcast:
        await eventually(lambda: wire.answer(topic, "system"))


def expected(sources: dict[str, Source], world: World) -> set[tuple[str, UUID]]:
    """What whoever may see everything sees."""
    of_user = {OWNER: world.watched.id, OTHER: world.other.id}
    found = set()
    for name, source in sources.items():
        kind, _, subject = (source.topic or "").partition(":")
        if kind == "user":
            found.add((name, of_user[UUID(subject)]))
        elif kind == "job":
            found.add((name, UUID(subject)))
        elif source.filter is not None:
            found.add((name, UUID(source.filter.removeprefix("job_id=eq."))))
        else:
            found |= {(name, job.id) for job in world.jobs}
    return found


async def test_socket__shows_each_actor_the_jobs_it_may_see(world: World) -> None:
    sources = {
        "all": Source(),
        "watched": Source.of_job(world.watched.id, broadcast=False),
        "other": Source.of_job(world.other.id, broadcast=False),
    }

    seen = await seen_by_sockets(world, sources)

    everything = expected(sources, world)
    of_watched = {(name, job_id) for name, job_id in everything if job_id == world.watched.id}
    assert seen == {
        actor: everything if actor in BACKENDS else of_watched if actor in SEE_WATCHED else set()
        for actor in ACTORS
    }


async def test_topics__show_each_actor_the_jobs_it_may_see(world: World) -> None:
    sources = {
        "watched": Source.of_job(world.watched.id, broadcast=True),
        "other": Source.of_job(world.other.id, broadcast=True),
        "owner": Source.of_user(OWNER, broadcast=True),
        "somebody": Source.of_user(OTHER, broadcast=True),
    }

    seen = await seen_by_sockets(world, sources)

    everything = expected(sources, world)
    of_watched = {("watched", world.watched.id)}
    # A watch token opens its job's topic, and no user's.
    of_owner = of_watched | {("owner", world.watched.id)}
    mine = {"owner": of_owner, "watcher": of_watched, "watching_user": of_watched}
    assert seen == {actor: everything if actor in BACKENDS else mine.get(actor, set()) for actor in ACTORS}


async def test_log__shows_each_actor_the_jobs_it_may_see(world: World) -> None:
    for actor in ACTORS:
        async with world.client(actor) as client:
            page = await client.events.read_all()
            readable = {job.id for job in world.jobs if await can_read(client, job)}

        allowed = {job.id for job in world.seen_by(actor)}
        assert ({event.job_id for event in page.items}, readable) == (allowed, allowed), actor


async def can_read(client: AsyncReelbase, job: Job) -> bool:
    try:
        return len(await client.events.read(job.id)) == job.event_seq
    except NotFound:
        return False


async def test_log_of_a_job_that_may_not_be_seen__is_as_if_there_were_none(world: World) -> None:
    for actor in ("anonymous", "stranger", "pretender"):
        refused = answer(world.target, "read_job_events", actor, job_id=world.watched.id)
        unknown = answer(world.target, "read_job_events", actor, job_id=uuid4())

        assert refused.status_code == unknown.status_code == 404
        assert [json.loads(reply.json()["details"])["error"] for reply in (refused, unknown)] == [
            "not_found"
        ] * 2


async def test_stream__shows_each_actor_the_jobs_it_may_see(world: World) -> None:
    async with AsyncExitStack() as stack:
        readers: dict[str, Any] = {}
        for actor in ACTORS:
            client = await stack.enter_async_context(world.client(actor))
            readers[actor] = await stack.enter_async_context(reading(client.events.stream()))
        await eventually(lambda: [reader.is_in("live") for reader in readers.values()])
        await world.write()

        def are_told() -> None:
            for actor, reader in readers.items():
                told = {(event.job_id, event.seq) for event in reader.events}
                written = {(job.id, job.event_seq + n) for job in world.seen_by(actor) for n in (1, 2)}
                assert told == written, actor

        await eventually(are_told)
