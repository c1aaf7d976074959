"""Whether the chaos is real, and whether a listener that hears wrong would be found out."""

from collections.abc import AsyncIterator
from random import Random
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiohttp import web

from chaos.frames import Frames
from chaos.listeners import Listener, Row, of_all, of_job, of_type, of_user
from chaos.plan import plan
from chaos.verdict import Verdict, compare, judge
from chaos.wire import Trick, Wire
from proxy import serving
from reelbase import EventType

ONE, OTHER, USER = uuid4(), uuid4(), uuid4()
LOG = [
    Row(ONE, 1, USER, EventType.JOB_CREATED),
    Row(ONE, 2, USER, EventType.JOB_STATUS),
    Row(ONE, 3, USER, EventType.JOB_PROGRESS),
    Row(OTHER, 1, None, EventType.JOB_CREATED),
]


def heard(*entries: tuple[UUID, int]) -> Listener:
    return Listener("listener", of_all, list(entries))


def test_plan__is_a_function_of_the_seed() -> None:
    assert plan(7, 60) == plan(7, 60)
    assert plan(7, 60) != plan(8, 60)
    assert all(faults for faults in plan(7, 60).values())


def test_verdict__of_everything_once_and_in_order_of_its_job_is_good() -> None:
    judge(LOG, [heard((ONE, 1), (OTHER, 1), (ONE, 2), (ONE, 3))])
    judge(LOG, [Listener("of a job", of_job(OTHER), [(OTHER, 1)])])
    judge(LOG, [Listener("of a user", of_user(USER), [(ONE, 1), (ONE, 2), (ONE, 3)])])
    judge(LOG, [Listener("of a type", of_type(EventType.JOB_CREATED), [(OTHER, 1), (ONE, 1)])])


def test_verdict__names_each_fault() -> None:
    assert compare(LOG, heard((ONE, 1), (ONE, 3), (OTHER, 1))) == Verdict(lost=((ONE, 2),))
    assert compare(LOG, heard((ONE, 1), (OTHER, 1), (ONE, 2), (ONE, 1), (ONE, 3))) == Verdict(
        doubled=((ONE, 1),)
    )
    assert compare(LOG, heard((ONE, 1), (ONE, 3), (ONE, 2), (OTHER, 1))) == Verdict(out_of_order=((ONE, 2),))
    assert compare(LOG, Listener("of a job", of_job(OTHER), [(OTHER, 1), (ONE, 1)])) == Verdict(
        unknown=((ONE, 1),)
    )


def test_frames__come_whole_however_they_are_cut() -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
    short, long = b"\x81\x02hi", b"\x81\x7e\x01\x00" + b"x" * 256
    ping = b"\x89\x00"
    sent = head + short + long + ping
    for size in (1, 7, len(sent)):
        frames = Frames()
        pieces = [piece for at in range(0, len(sent), size) for piece in frames.feed(sent[at : at + size])]
        assert [piece.data for piece in pieces] == [head, short, long, ping]
        assert [piece.message for piece in pieces] == [False, True, True, False]


def test_frames__leave_other_answers_alone() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n\x81\x02hi"
    assert b"".join(piece.data for piece in Frames().feed(answer)) == answer


async def counting(request: web.Request) -> web.WebSocketResponse:
    """Counts to five, and goes on when it is asked to."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for _ in socket:
        for number in range(1, 6):
            await socket.send_str(str(number))
    return socket


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """In front of a server that counts."""
    async with serving(counting) as url, Wire(int(url.rpartition(":")[2]), Random(0)) as wire:
        yield wire


@pytest.mark.parametrize(
    ("trick", "arrives"),
    [
        (Trick.DUPLICATE, ["1", "1", "2", "2", "3", "4", "5"]),
        (Trick.LOSE, ["3", "4", "5"]),
        (Trick.SWAP, ["1", "3", "2", "4", "5"]),
    ],
)
async def test_wire__plays_tricks_on_messages(wire: Wire, trick: Trick, arrives: list[str]) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(wire.url) as socket:
        wire.garble(trick, 2)
        await socket.send_str("go")

        assert [await socket.receive_str(timeout=5) for _ in arrives] == arrives


async def test_wire__swallows_silently_and_for_ever(wire: Wire) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(wire.url) as silent:
            wire.stall(1.0)
            wire.flow()
            await silent.send_str("go")
            with pytest.raises(TimeoutError):
                await silent.receive_str(timeout=0.3)
        async with session.ws_connect(wire.url) as sound:
            await sound.send_str("go")
            assert await sound.receive_str(timeout=5) == "1"
