"""What the plain Realtime client dies of, and the feed does not.

Each scenario is real or speaks as the recorded sessions do; where it is cheap, the package itself is put
through it too, which shows that the scenario bites. R1 and so on are the package's known failures.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from realtime import AsyncRealtimeClient

from live_world import (
    QUICK,
    Frame,
    LeapingClock,
    Notes,
    Realtime,
    feeding,
    listening,
    misbehaving,
    patient,
    reading,
    record,
)
from proxy import Proxy, serving
from reelbase import AsyncReelbase, Job, JobStatus
from reelbase.execution.call import Call
from reelbase.models import JobEvent
from reelbase.realtime.source import Source
from reelbase.realtime.state import ConnectionState
from reelbase.realtime.watch import Watch
from support import Target, eventually

TOPIC = Source(topic="job:00000000-0000-4000-8000-000000000001")
QUIET_SECONDS = 0.3
"""How long the package is given to recover by itself, at back-offs of milliseconds."""


class Plain:
    """A channel of the package itself, with short back-offs."""

    def __init__(self, client: AsyncRealtimeClient, *, private: bool = False) -> None:
        name = TOPIC.channel(0).removeprefix("realtime:") if private else "reelbase:1"
        self.rows: list[Any] = []
        self.client = client
        self.channel = client.channel(name, {"config": {"private": private}})  # type: ignore[typeddict-item]

    async def subscribe(self) -> None:
        self.channel.on_postgres_changes("INSERT", self.take, schema="public", table="job_events")
        self.channel.on_broadcast("job.progress", self.take)
        await self.channel.subscribe()

    def take(self, payload: Any) -> None:
        self.rows.append(payload)

    def has(self, rows: int) -> None:
        assert len(self.rows) >= rows


@asynccontextmanager
async def plain(url: str, key: str = "key", *, private: bool = False) -> AsyncIterator[Plain]:
    client = AsyncRealtimeClient(f"{url}/realtime/v1", key, initial_backoff=0.005)
    one = Plain(client, private=private)
    await one.subscribe()
    try:
        yield one
    finally:
        client.auto_reconnect = False
        await client.close()


async def never(check: Any) -> None:
    """The check fails, and goes on failing."""
    with pytest.raises(AssertionError):
        await eventually(check, QUIET_SECONDS)


@pytest.fixture
async def job(service: AsyncReelbase) -> Job:
    made = await service.jobs.create("mp4", 64, 64)
    return await service.jobs.update_status(made.id, JobStatus.PROCESSING)


# R1: a callback that raises ----------------------------------------------------------------------


class Sore(Notes):
    """Remembers, and raises whenever it is told something."""

    def up(self) -> None:
        super().up()
        raise ValueError("up")

    def down(self, reason: str) -> None:
        super().down(reason)
        raise ValueError("down")

    def row(self, event: JobEvent | None) -> None:
        super().row(event)
        raise ValueError("row")


async def test_r1_listener_that_raises__costs_no_one_a_row(caplog: pytest.LogCaptureFixture) -> None:
    async with misbehaving() as realtime, listening(realtime.url, "key") as hub:
        sore, well, other = Sore(), Notes(), Notes()
        for listener in (sore, well):
            hub.listen(Source(), listener)
        hub.listen(TOPIC, other)
        await eventually(lambda: (well.has_come_up(), other.has_come_up()))

        for seq in (1, 2, 3):
            await realtime.row(realtime.joins[0], record(seq))
            await realtime.row(realtime.joins[1], record(seq))

        await eventually(lambda: [notes.has_seqs(1, 2, 3) for notes in (sore, well, other)])
        assert len(realtime.sockets) == 1
        # Nor the socket that comes after this one.
        await realtime.sockets[0].close()
        await eventually(lambda: [notes.has_come_up(2) for notes in (sore, well, other)])
    assert "ValueError: row" in caplog.text


async def test_r1_listener_that_raises_when_it_is_up_at_once__is_listened_for() -> None:
    async with misbehaving() as realtime, listening(realtime.url, "key") as hub:
        first, sore = Notes(), Sore()
        hub.listen(Source(), first)
        await eventually(first.has_come_up)

        hub.listen(Source(), sore)

        await realtime.row(realtime.joins[0], record(1))
        await eventually(lambda: sore.has_seqs(1))


async def test_r1_observer_that_raises__costs_no_event(
    target: Target, service: AsyncReelbase, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    def observe(state: ConnectionState) -> None:
        raise ValueError(state.phase)

    async with feeding(service._carry, target.url, target.service_role_key) as feeds:
        stream = feeds.open(Watch(job.id))
        stream.on_connection_state(observe)
        async with reading(stream) as reader:
            await eventually(lambda: reader.is_in("live"))
            await service.jobs.update_progress(job.id, 5)
            log = await service.events.read(job.id)

            await eventually(lambda: reader.has_all_of(log))
    assert "ValueError: live" in caplog.text


async def test_r1_plain_client__falls_silent() -> None:
    async with misbehaving() as realtime, plain(realtime.url) as one:

        def raise_once(payload: Any) -> None:
            one.rows.append(payload)
            raise ValueError("callback")

        one.take = raise_once  # type: ignore[method-assign]
        one.channel.on_postgres_changes("INSERT", one.take, schema="public", table="job_events")
        for seq in (1, 2):
            await realtime.row(realtime.joins[0], record(seq))

        await never(lambda: one.has(2))
        assert one.client.is_connected


# R2: a long outage -------------------------------------------------------------------------------


@pytest.mark.local_stack
async def test_r2_server_that_is_away_long__is_found_again(
    target: Target, service: AsyncReelbase, job: Job
) -> None:
    async with Proxy(target.url) as proxy, listening(proxy.url, target.service_role_key) as hub:
        notes = Notes()
        hub.listen(Source.of_job(job.id, broadcast=False), notes)
        await eventually(notes.has_come_up)
        await proxy.cut()

        def has_failed_often() -> None:
            assert len(notes.downs) > 10

        await eventually(has_failed_often)
        await proxy.restore()

        await eventually(lambda: notes.has_come_up(2))
        await service.jobs.update_progress(job.id, 5)
        await eventually(lambda: notes.has_seqs(job.event_seq + 1))


async def test_r2_plain_client__is_dead_after_five_attempts() -> None:
    async with misbehaving() as realtime, Proxy(realtime.url) as proxy, plain(proxy.url) as one:
        await proxy.cut()
        # 5, 10, 20 and 40 ms between five attempts.
        await never(lambda: one.has(1))
        await proxy.restore()

        await never(lambda: realtime.has_joins(2))


# R3: a token that expires ------------------------------------------------------------------------


async def test_r3_token__is_renewed_before_the_server_minds(
    target: Target, service: AsyncReelbase, job: Job
) -> None:
    async def token() -> str:
        return target.token(role="service_role", exp=time.time() + 2)

    key = target.service_role_key
    async with listening(target.url, key, token=token, due_in=lambda: 0.7) as hub:
        notes = Notes()
        hub.listen(Source.of_job(job.id, broadcast=False), notes)
        await eventually(notes.has_come_up)
        until = time.monotonic() + 3
        progress = 0

        async def is_over() -> None:
            nonlocal progress
            progress += 1
            await service.jobs.update_progress(job.id, progress / 100)
            assert time.monotonic() > until

        await eventually(is_over)

        await eventually(lambda: notes.has_seqs(*range(job.event_seq + 1, job.event_seq + progress + 1)))
        assert notes.downs == []


async def test_r3_channel_that_the_server_ends_for_its_token__is_joined_again(
    target: Target, job: Job
) -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        if asked in {2, 3}:
            raise ValueError("the provider is away")
        return target.token(role="service_role", exp=time.time() + 1)

    key = target.service_role_key
    timing = patient(first_retry=0.2)
    async with listening(target.url, key, token=token, due_in=lambda: 0.6, timing=timing) as hub:
        notes = Notes()
        hub.listen(Source.of_job(job.id, broadcast=False), notes)

        await eventually(lambda: notes.has_come_up(2))

        assert any("expired" in reason for reason in notes.downs)


async def test_r3_provider_that_hangs__is_not_waited_for_for_ever() -> None:
    asked = 0

    async def token() -> str:
        nonlocal asked
        asked += 1
        if asked in {1, 3}:
            await asyncio.Event().wait()
        return f"token {asked}"

    timing = patient(connect=0.3)
    async with (
        misbehaving() as realtime,
        listening(realtime.url, "key", token=token, due_in=lambda: 0.1, timing=timing) as hub,
    ):
        notes = Notes()
        hub.listen(Source(), notes)
        await eventually(notes.has_come_up)

        def has_renewed() -> None:
            assert any(frame["event"] == "access_token" for frame in realtime.frames)

        await eventually(has_renewed)


async def test_r3_plain_client__does_not_join_again(target: Target) -> None:
    async with Proxy(target.url) as proxy, plain(proxy.url, target.service_role_key) as one:
        await one.client.set_auth(target.token(role="service_role", exp=time.time() + 0.5))

        def is_closed() -> None:
            assert one.channel.is_closed

        await eventually(is_closed)

        def is_joined() -> None:
            assert one.channel.is_joined

        await one.client.set_auth(target.service_role_key)
        await never(is_joined)
        assert one.client.is_connected


# R4: an error on a live channel ------------------------------------------------------------------


async def test_r4_error_on_a_live_channel__is_told_and_followed_by_a_read_of_the_log(
    service: AsyncReelbase, job: Job
) -> None:
    clock = LeapingClock(stands=True)
    async with (
        misbehaving() as realtime,
        feeding(service._carry, realtime.url, "key", clock=clock) as feeds,
        reading(feeds.open(Watch(job.id))) as reader,
    ):
        await eventually(lambda: reader.is_in("live"))
        # No row comes of this one.
        await service.jobs.update_progress(job.id, 5)
        log = await service.events.read(job.id)
        await realtime.system(realtime.joins[0], "error", "the replication slot is gone")
        await eventually(lambda: reader.is_in("polling"))
        # Time to join again, and not to read the log for any other reason.
        clock.leap(QUICK.longest_rejoin)

        await eventually(lambda: reader.has_all_of(log))
        await eventually(lambda: reader.is_in("live"))
    assert "polling" in reader.states
    assert (len(realtime.joins), len(realtime.sockets)) == (2, 1)


# R5: the end of an old channel -------------------------------------------------------------------


async def supersede(realtime: Realtime, join: Frame) -> None:
    """A later join of a topic: the reply to the new one, then the end of the old one."""
    await realtime.accept(join)
    for old in realtime.joins:
        if old["topic"] == join["topic"] and old is not join:
            await realtime.close(old)


async def test_r5_end_of_an_old_channel__is_not_that_of_the_new() -> None:
    async with misbehaving(supersede) as realtime, listening(realtime.url, "key") as hub:
        notes = Notes()
        hub.listen(TOPIC, notes)
        await eventually(notes.has_come_up)
        # The server still holds it, for all it knows.
        await realtime.system(realtime.joins[0], "error", "something passing")
        await eventually(lambda: notes.has_come_up(2))

        await realtime.row(realtime.joins[1], record(1))

        await eventually(lambda: notes.has_seqs(1))
        assert len(notes.downs) == 1
        assert len(realtime.joins) == 2


async def test_r5_channels_of_changes__have_topics_of_their_own() -> None:
    async with misbehaving(supersede) as realtime, listening(realtime.url, "key") as hub:
        notes = Notes()
        hub.listen(Source(), notes)
        await eventually(notes.has_come_up)

        await realtime.system(realtime.joins[0], "error", "something passing")

        await eventually(lambda: notes.has_come_up(2))
        assert len({join["topic"] for join in realtime.joins}) == 2


@pytest.mark.parametrize("source", [Source(), TOPIC])
async def test_r5_channel_that_is_closed_while_the_socket_stays__is_joined_again(source: Source) -> None:
    async with misbehaving() as realtime, listening(realtime.url, "key") as hub:
        notes = Notes()
        hub.listen(source, notes)
        await eventually(notes.has_come_up)

        await realtime.close(realtime.joins[0])

        # And not only when something else is due.
        await eventually(lambda: notes.has_come_up(2), seconds=1)
        await realtime.row(realtime.joins[1], record(1))
        await eventually(lambda: notes.has_seqs(1))
        assert len(realtime.sockets) == 1


async def test_r5_plain_client__falls_silent() -> None:
    async with misbehaving(supersede) as realtime, plain(realtime.url) as one:
        await realtime.sockets[0].close()
        await eventually(lambda: realtime.has_joins(2))

        for seq in (1, 2, 3):
            await realtime.row(realtime.joins[1], record(seq))

        await never(lambda: one.has(1))
        assert one.client.is_connected
        assert one.channel.is_closed


# R6: what is asked for again ---------------------------------------------------------------------


async def test_r6_rejoin__asks_as_of_now() -> None:
    tokens = iter(f"token {number}" for number in range(10))

    async def token() -> str:
        return next(tokens)

    async with misbehaving() as realtime, listening(realtime.url, "key", token=token) as hub:
        notes = Notes()
        hub.listen(TOPIC, notes)
        await eventually(notes.has_come_up)
        await realtime.sockets[0].close()
        await eventually(lambda: notes.has_come_up(2))

    first, second = (join["payload"] for join in realtime.joins)
    assert (first.pop("access_token"), second.pop("access_token")) == ("token 0", "token 1")
    # Nothing else in it was as of an earlier time.
    assert first == second == {"config": TOPIC.config()}


@pytest.mark.local_stack
async def test_r6_reconnection__reads_from_where_the_stream_is(
    target: Target, service: AsyncReelbase, job: Job
) -> None:
    read_after: list[int] = []

    async def carry(call: Call[Any]) -> Any:
        if call.function == "read_job_events":
            read_after.append(call.arguments["after_seq"])
        return await service._carry(call)

    key = target.service_role_key
    async with (
        Proxy(target.url) as proxy,
        feeding(carry, proxy.url, key) as feeds,
        reading(feeds.open(Watch(job.id))) as reader,
    ):
        await eventually(lambda: reader.is_in("live"))
        await service.jobs.update_progress(job.id, 1)
        log = await service.events.read(job.id)
        await eventually(lambda: reader.has_all_of(log))
        await proxy.cut()
        await eventually(lambda: reader.is_in("polling"))
        read_after.clear()
        await service.jobs.update_progress(job.id, 2)
        await proxy.restore()
        await eventually(lambda: reader.is_in("live"))

        log = await service.events.read(job.id)
        await eventually(lambda: reader.has_all_of(log))
    assert set(read_after) <= {len(log) - 1, len(log)}


# R7: half-open sockets ---------------------------------------------------------------------------


async def test_r7_socket_that_says_nothing_any_more__is_replaced() -> None:
    timing = patient(heartbeat=0.1, silence=0.2)
    async with misbehaving() as realtime, listening(realtime.url, "key", timing=timing) as hub:
        notes = Notes()
        hub.listen(Source(), notes)
        await eventually(notes.has_come_up)
        # The websocket itself goes on answering pings, as a proxy before a hung server does.
        realtime.deaf = 1

        await eventually(lambda: notes.has_come_up(2))
        assert "no sign of life" in notes.downs[0]


@pytest.mark.local_stack
async def test_r7_connection_that_swallows_everything__is_replaced(target: Target) -> None:
    timing = patient(heartbeat=0.2, silence=0.3, connect=0.5)
    key = target.service_role_key
    async with Proxy(target.url) as proxy, listening(proxy.url, key, timing=timing) as hub:
        notes = Notes()
        hub.listen(Source(), notes)
        await eventually(notes.has_come_up)
        proxy.stall()

        def has_noticed() -> None:
            assert proxy.connections > 1

        await eventually(has_noticed)
        proxy.flow()

        await eventually(lambda: notes.has_come_up(2))


async def test_r7_server_that_accepts_and_never_answers__is_told_and_tried_again() -> None:
    held: list[asyncio.StreamWriter] = []

    async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with listening(f"http://127.0.0.1:{port}", "key", timing=patient(connect=0.1)) as hub:
        notes = Notes()
        hub.listen(Source(), notes)

        def has_tried_again() -> None:
            assert len(held) > 2

        await eventually(has_tried_again)
    for writer in held:
        writer.transport.abort()
    server.close()
    assert all("cannot be reached" in reason for reason in notes.downs)


async def test_r7_join_that_is_never_answered__is_told_and_asked_again() -> None:
    async def ignore(realtime: Realtime, join: Frame) -> None:
        if len(realtime.joins) > 2:
            await realtime.accept(join)

    timing = patient(join=0.1)
    async with misbehaving(ignore) as realtime, listening(realtime.url, "key", timing=timing) as hub:
        notes = Notes()
        hub.listen(Source(), notes)

        await eventually(notes.has_come_up)

        assert notes.downs[0] == "the subscription is not confirmed yet"
        assert len(realtime.sockets) == 1


# Another host ------------------------------------------------------------------------------------


async def test_redirect__is_not_followed_with_the_key() -> None:
    async with misbehaving() as elsewhere:

        async def redirect(_: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(elsewhere.url.replace("http:", "ws:"))

        async with serving(redirect) as url, listening(url, "key") as hub:
            notes = Notes()
            hub.listen(TOPIC, notes)

            def is_told_of_it() -> None:
                assert "HTTP 302" in "".join(notes.downs)

            await eventually(is_told_of_it)
        assert elsewhere.sockets == []
