"""One connection for all who listen: as few sockets and channels as they need, and for no longer."""

import asyncio
import itertools
import threading
from uuid import UUID

import pytest

from live_world import Notes, listening, misbehaving, patient, record
from reelbase import AsyncReelbase, Reelbase
from reelbase.realtime import hub as hub_module
from reelbase.realtime.endpoint import Timing
from reelbase.realtime.source import Source
from support import Target, eventually

SOURCES = [Source.of_job(UUID(int=number), broadcast=False) for number in range(230)]


async def test_listeners_of_one_source__share_its_channel() -> None:
    async with misbehaving() as realtime, listening(realtime.url, "key") as hub:
        first, second = Notes(), Notes()
        hub.listen(Source(), first)
        await eventually(first.has_come_up)
        hub.listen(Source(), second)
        second.has_come_up()

        await realtime.row(realtime.joins[0], record(1))
        await eventually(lambda: [notes.has_seqs(1) for notes in (first, second)])
        hub.ignore(Source(), first)
        await realtime.row(realtime.joins[0], record(2))

        await eventually(lambda: second.has_seqs(1, 2))
        first.has_seqs(1)
        assert (len(realtime.joins), len(realtime.sockets)) == (1, 1)


async def test_last_listener_of_a_source__takes_its_channel_along_and_leaves_the_others() -> None:
    async with misbehaving() as realtime, listening(realtime.url, "key") as hub:
        notes = [Notes(), Notes()]
        for source, listener in zip(SOURCES, notes, strict=False):
            hub.listen(source, listener)
        await eventually(lambda: [listener.has_come_up() for listener in notes])

        hub.ignore(SOURCES[0], notes[0])

        def has_left() -> None:
            left = [frame["topic"] for frame in realtime.frames if frame["event"] == "phx_leave"]
            assert left == [realtime.joins[0]["topic"]]

        await eventually(has_left)
        await realtime.row(realtime.joins[1], record(1))
        await eventually(lambda: notes[1].has_seqs(1))
        assert notes[0].downs == []


async def test_socket_without_listeners__stays_a_while_for_the_next_and_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "_LINGER", 1.0)
    tasks = asyncio.all_tasks()
    async with misbehaving() as realtime, listening(realtime.url, "key") as hub:
        first, second = Notes(), Notes()
        hub.listen(SOURCES[0], first)
        await eventually(first.has_come_up)
        hub.ignore(SOURCES[0], first)

        def has_left() -> None:
            assert any(frame["event"] == "phx_leave" for frame in realtime.frames)

        await eventually(has_left)
        hub.listen(SOURCES[1], second)
        await eventually(second.has_come_up)
        assert len(realtime.sockets) == 1

        hub.ignore(SOURCES[1], second)

        def is_closed() -> None:
            assert realtime.sockets[0].closed
            assert not [task for task in asyncio.all_tasks() - tasks if "reelbase" in task.get_name()]

        await eventually(is_closed)
        # Whoever comes then gets another.
        hub.listen(SOURCES[0], first)
        await eventually(lambda: first.has_come_up(2))
        assert (len(realtime.sockets), hub.sockets) == (2, 1)


async def test_many_sources__are_spread_over_sockets(target: Target, service: AsyncReelbase) -> None:
    """The server takes a hundred channels on each."""
    job = await service.jobs.create("mp4", 64, 64)
    sources = [*SOURCES[:119], Source.of_job(job.id, broadcast=False)]
    async with listening(target.url, target.service_role_key) as hub:
        notes = [Notes() for _ in sources]
        for source, listener in zip(sources, notes, strict=True):
            hub.listen(source, listener)

        await eventually(lambda: [listener.has_come_up() for listener in notes], seconds=20)

        assert hub.sockets == 2
        assert [listener.downs for listener in notes if listener.downs] == []
        await service.jobs.cancel(job.id)
        await eventually(lambda: notes[-1].has_seqs(job.event_seq + 1))
        assert not any(listener.rows for listener in notes[:-1])


async def test_joins__follow_as_soon_as_there_is_room() -> None:
    timing = Timing(join=60, heartbeat=60)
    async with misbehaving() as realtime, listening(realtime.url, "key", timing=timing) as hub:
        notes = [Notes() for _ in SOURCES[:60]]
        for source, listener in zip(SOURCES, notes, strict=False):
            hub.listen(source, listener)

        await eventually(lambda: [listener.has_come_up() for listener in notes])


async def test_joins__are_not_all_asked_for_at_once() -> None:
    async def wait(*_: object) -> None: ...

    async with misbehaving(wait) as realtime, listening(realtime.url, "key") as hub:
        for source in SOURCES:
            hub.listen(source, Notes())

        await eventually(lambda: realtime.has_joins(60))

        assert (len(realtime.joins), hub.sockets) == (60, 3)


async def test_tokens__are_renewed_for_all_channels_of_a_socket() -> None:
    tokens = iter(f"token {number}" for number in range(1000))

    async def token() -> str:
        return next(tokens)

    timing = patient(first_retry=0.1)
    async with (
        misbehaving() as realtime,
        listening(realtime.url, "key", token=token, due_in=lambda: 0.1, timing=timing) as hub,
    ):
        notes = [Notes() for _ in range(3)]
        for source, listener in zip(SOURCES, notes, strict=False):
            hub.listen(source, listener)
        await eventually(lambda: [listener.has_come_up() for listener in notes])

        def are_told() -> None:
            topics = {join["topic"] for join in realtime.joins}
            for number in (2, 3):
                renewed = {"access_token": f"token {number}"}
                assert {f["topic"] for f in realtime.frames if f["payload"] == renewed} == topics

        await eventually(are_told)
        assert len(realtime.sockets) == 1
        assert not any(listener.downs for listener in notes)


async def test_guest__listens_on_a_socket_of_its_own(target: Target, service: AsyncReelbase) -> None:
    """Who speaks is a matter of the socket: a guest's rows never come over its host's."""
    job = await service.jobs.create("mp4", 64, 64)
    guest = service.as_user(target.token(role="anon", watch_job_id=str(job.id)))
    streams = [client.jobs.watch(job.id) for client in (service, guest)]
    for stream in streams:
        await anext(stream)

    assert [client._feeds._hub.sockets for client in (service, guest)] == [1, 1]  # type: ignore[union-attr]


async def test_rows_that_come_all_at_once__let_others_run_between() -> None:
    async with misbehaving() as realtime, listening(realtime.url, "key") as hub:
        notes = Notes()
        hub.listen(Source(), notes)
        await eventually(notes.has_come_up)
        had = [0]

        async def run() -> None:
            while True:
                had.append(len(notes.rows))
                await asyncio.sleep(0)

        other = asyncio.create_task(run())
        for seq in range(1, 301):
            await realtime.row(realtime.joins[0], record(seq))
        await eventually(lambda: notes.has_seqs(*range(1, 301)))
        other.cancel()

        assert max(after - before for before, after in itertools.pairwise(had)) <= 20


async def test_provider_of_one_guest_that_hangs__holds_up_nobody_else(target: Target) -> None:
    free = threading.Event()

    def hang() -> str:
        assert free.wait(30)
        raise OSError("away")

    with Reelbase(target.url, target.service_role_key) as client:
        for _ in range(3):
            guest = client.as_user(hang)
            for _ in range(16):
                guest.subscriptions.subscribe_to_all_jobs(print)

        with client.events.stream() as events:
            await asyncio.wait_for(asyncio.to_thread(events.start), 10)
        assert sum(thread.name == "reelbase-token" for thread in threading.enumerate()) == 3
        free.set()
