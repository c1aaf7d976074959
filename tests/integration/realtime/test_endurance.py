"""Outages, days and a thousand reconnections: the feed comes back, and leaves nothing behind."""

import asyncio
import gc
import itertools
from collections import Counter

import psutil
import pytest
from realtime import AsyncRealtimeClient
from websockets.asyncio.client import ClientConnection

from live_world import (
    Frame,
    LeapingClock,
    Notes,
    Reader,
    Realtime,
    feeding,
    listening,
    misbehaving,
    patient,
    reading,
    record,
)
from proxy import Proxy
from reelbase import AsyncReelbase, JobStatus
from reelbase.models import Job
from reelbase.realtime.endpoint import Timing
from reelbase.realtime.hub import Hub
from reelbase.realtime.link import Link
from reelbase.realtime.socket import Socket
from reelbase.realtime.source import Source
from reelbase.realtime.watch import Tail, Watch
from support import Target, eventually

RECONNECTIONS = 1000
WARM = 10
"""Connections until everything is there that stays."""

KINDS = (Link, Socket, Hub, AsyncRealtimeClient, ClientConnection, asyncio.Transport)


@pytest.fixture
async def job(service: AsyncReelbase) -> Job:
    made = await service.jobs.create("mp4", 64, 64)
    return await service.jobs.update_status(made.id, JobStatus.PROCESSING)


async def is_told_all(service: AsyncReelbase, job: Job, *readers: Reader) -> None:
    log = await service.events.read(job.id)
    for reader in readers:
        assert [event for event in reader.events if event.job_id == job.id] == log


@pytest.mark.local_stack
async def test_outage_of_ten_minutes__is_survived(target: Target, service: AsyncReelbase, job: Job) -> None:
    """The log is away too; afterwards the feed is live again within its longest delay."""
    clock, progress = LeapingClock(), itertools.count(1)
    async with (
        Proxy(target.url) as proxy,
        AsyncReelbase(proxy.url, target.service_role_key, timeout=1) as client,
        feeding(client._carry, proxy.url, target.service_role_key, clock=clock, timing=Timing()) as feeds,
        reading(feeds.open(Watch(job.id))) as one,
        reading(feeds.open(Tail(after="beginning"))) as all_jobs,
    ):
        readers = one, all_jobs
        await eventually(lambda: [reader.is_in("live") for reader in readers])
        connections = proxy.connections
        await proxy.cut()
        for _ in range(120):
            clock.leap(5)
            await service.jobs.update_progress(job.id, next(progress) / 10)
        await eventually(lambda: [reader.is_in("polling") for reader in readers])
        await proxy.restore()

        def is_live() -> None:
            clock.leap(0.5)
            for reader in readers:
                reader.is_in("live")

        restored = clock.now()
        await eventually(is_live)
        assert clock.now() - restored < 60
        await service.jobs.update_progress(job.id, 99)
        await eventually(lambda: is_told_all(service, job, *readers))
    assert proxy.connections - connections < 30


@pytest.mark.local_stack
async def test_sockets__are_replaced_before_the_server_ends_them_after_a_day(
    target: Target, service: AsyncReelbase, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    clock, progress, key = LeapingClock(), itertools.count(1), target.service_role_key
    # Between two leaps no answer to a heartbeat may come.
    timing = patient(silence=1e9)
    async with (
        Proxy(target.url) as proxy,
        feeding(service._carry, proxy.url, key, clock=clock, timing=timing) as feeds,
        reading(feeds.open(Watch(job.id))) as reader,
    ):
        await eventually(lambda: reader.is_in("live"))
        assert proxy.connections == 1

        async def is_replaced() -> None:
            await service.jobs.update_progress(job.id, next(progress) / 10)
            clock.leap(1800)
            assert proxy.connections == 2

        before = clock.now()
        await eventually(is_replaced)
        assert 20 * 3600 < clock.now() - before < 24 * 3600
        await eventually(lambda: reader.is_in("live"))
        await service.jobs.update_progress(job.id, 99)
        await eventually(lambda: is_told_all(service, job, reader))
    assert "renewed before the server's limit" in caplog.text


async def test_thousand_reconnections__leave_no_task_socket_or_object(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("ERROR", "reelbase")

    async def end(realtime: Realtime, join: Frame) -> None:
        await realtime.accept(join)
        if len(realtime.sockets) not in {WARM, WARM + RECONNECTIONS}:
            await realtime.sockets[-1].close()

    timing = patient(first_retry=0.0001, longest_retry=0.0001)
    async with misbehaving(end) as realtime, listening(realtime.url, "key", timing=timing) as hub:
        notes = Notes()
        hub.listen(Source(), notes)
        await eventually(lambda: notes.has_come_up(WARM))
        before = census()

        await realtime.sockets[-1].close()
        await eventually(lambda: notes.has_come_up(WARM + RECONNECTIONS), seconds=60)

        await realtime.row(realtime.joins[-1], record(1))
        await eventually(lambda: notes.has_seqs(1))
        realtime.sockets, realtime.frames = realtime.sockets[-1:], realtime.frames[-1:]
        await eventually(lambda: no_more_than(before))


def census() -> Counter[str]:
    """What there is of tasks, file descriptors and the objects of a connection."""
    gc.collect()
    kinds = (Link, Socket, Hub, AsyncRealtimeClient, ClientConnection, asyncio.Transport)
    counted = Counter(
        kind.__name__ for thing in gc.get_objects() for kind in kinds if isinstance(thing, kind)
    )
    counted["tasks"] = len(asyncio.all_tasks())
    counted["descriptors"] = psutil.Process().num_fds()
    counted["all objects"] = len(gc.get_objects()) // 5000
    return counted


def no_more_than(before: Counter[str]) -> None:
    now = census()
    # A connection that is just being replaced is there twice.
    assert {kind: number for kind, number in now.items() if number > before[kind] + 3} == {}
