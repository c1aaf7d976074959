"""What waits for a callback, under each policy."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from reelbase import JobEvent, Overflow, SubscriptionOverflow, SystemEvent, read_event
from reelbase.realtime import backlog as backlog_module
from reelbase.realtime.backlog import Backlog

A, B = uuid4(), uuid4()


def event(job_id: UUID, seq: int) -> JobEvent:
    columns: dict[str, Any] = {"user_id": None, "current_step": None, "data": {}, "is_terminal": False}
    return read_event(
        {
            **columns,
            "id": seq,
            "xid": seq,
            "job_id": job_id,
            "seq": seq,
            "type": "job.progress",
            "status": "processing",
            "progress_percentage": 1,
            "created_at": datetime.now(UTC),
        }
    )


def system_event(number: int, metric: str) -> SystemEvent:
    return SystemEvent.model_validate(
        {
            "id": number,
            "xid": number,
            "type": "metric.threshold",
            "severity": "info",
            "data": {"metric": metric},
            "created_at": datetime.now(UTC),
        }
    )


async def all_of(backlog: Backlog) -> list[Any]:
    backlog.finish()
    found = []
    while (waiting := await backlog.take()) is not None:
        found.append(waiting)
    return found


async def test_catch_up__has_the_stream_wait_for_room() -> None:
    backlog = Backlog(2, Overflow.CATCH_UP)
    events = [event(A, seq) for seq in range(1, 6)]

    async def fill() -> None:
        for each in events:
            await backlog.put(each)

    filling = asyncio.create_task(fill())
    await asyncio.sleep(0)
    assert (len(backlog), filling.done()) == (2, False)
    taken = [await backlog.take() for _ in range(5)]

    await filling
    assert taken == events
    assert (len(backlog), backlog.dropped) == (0, 0)


async def test_latest__keeps_the_newest_of_each_job_in_the_turn_of_the_first() -> None:
    backlog = Backlog(10, Overflow.LATEST)
    for each in (event(A, 1), event(B, 1), event(A, 2), event(A, 3)):
        await backlog.put(each)

    assert [(each.job_id, each.seq) for each in await all_of(backlog)] == [(A, 3), (B, 1)]
    assert backlog.dropped == 2


async def test_latest__keeps_the_newest_system_event_of_each_metric() -> None:
    backlog = Backlog(10, Overflow.LATEST)
    for each in (system_event(1, "load"), system_event(2, "disk"), system_event(3, "load")):
        await backlog.put(each)

    assert [each.id for each in await all_of(backlog)] == [3, 2]


async def test_latest__of_more_jobs_than_may_wait_has_the_stream_wait() -> None:
    backlog = Backlog(1, Overflow.LATEST)
    await backlog.put(event(A, 1))
    other = asyncio.create_task(backlog.put(event(B, 1)))
    await asyncio.sleep(0)
    assert not other.done()

    assert await backlog.take() is not None

    await other
    assert [each.job_id for each in await all_of(backlog)] == [B]


async def test_fail__refuses_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "_PATIENCE", 0.01)
    backlog = Backlog(1, Overflow.FAIL)
    await backlog.put(event(A, 1))

    with pytest.raises(SubscriptionOverflow, match="1 wait"):
        await backlog.put(event(A, 2))
    assert backlog.dropped == 1


@pytest.mark.parametrize("overflow", Overflow)
async def test_burst__is_taken_by_who_is_fast(overflow: Overflow) -> None:
    backlog = Backlog(2, overflow)
    taken = 0

    async def take() -> None:
        nonlocal taken
        while await backlog.take() is not None:
            taken += 1
            await asyncio.sleep(0)

    taking = asyncio.create_task(take())
    for seq in range(1, 1000):
        await backlog.put(event(A, seq))
    backlog.finish()
    await taking

    assert taken + backlog.dropped == 999
    assert backlog.dropped == 0 or overflow is Overflow.LATEST


@pytest.mark.parametrize(("apart", "fits"), [(0.05, True), (0.0001, False)])
async def test_fail__lets_what_is_read_after_an_outage_take_the_time_that_it_took_to_happen(
    monkeypatch: pytest.MonkeyPatch, apart: float, fits: bool
) -> None:
    monkeypatch.setattr(backlog_module, "_PATIENCE", 0.1)
    backlog = Backlog(2, Overflow.FAIL)
    began = datetime.now(UTC)

    async def take() -> None:
        while await backlog.take() is not None:
            await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.02)

    taking = asyncio.create_task(take())
    with contextlib.nullcontext() if fits else pytest.raises(SubscriptionOverflow):
        for seq in range(1, 50):
            happened = began + timedelta(seconds=seq * apart)
            await backlog.put(event(A, seq).model_copy(update={"created_at": happened}))
    backlog.discard()
    await taking


@pytest.mark.parametrize("overflow", [Overflow.CATCH_UP, Overflow.LATEST])
async def test_discard__frees_both_sides(overflow: Overflow) -> None:
    backlog = Backlog(1, overflow)
    await backlog.put(event(A, 1))
    putting = asyncio.create_task(backlog.put(event(B, 1)))
    await asyncio.sleep(0)

    backlog.discard()

    await putting
    assert await backlog.take() is None
    assert (len(backlog), backlog.dropped) == (0, 1)


async def test_take__waits_for_the_first() -> None:
    backlog = Backlog(1, Overflow.CATCH_UP)
    taking = asyncio.create_task(backlog.take())
    await asyncio.sleep(0)
    assert not taking.done()

    await backlog.put(event(A, 1))

    taken = await taking
    assert isinstance(taken, JobEvent)
