"""The comparison notices what a client could tell."""

from typing import Any

import pytest

from conformance.realtime.compare import differences
from conformance.realtime.placeholders import Memory

_ROOM = "realtime:room"


def _frame(event: str, payload: Any, topic: str = _ROOM) -> list[Any]:
    return [None, None, topic, event, payload]


def test_lanes_may_interleave() -> None:
    ack, change = _frame("phx_reply", {"status": "ok"}), _frame("postgres_changes", {})

    assert differences([ack, change], [change, ack], Memory()) == []


def test_the_order_within_a_lane_counts() -> None:
    first, second = _frame("broadcast", {"n": 1}), _frame("broadcast", {"n": 2})

    assert len(differences([first, second], [second, first], Memory())) == 2


def test_missing_and_unexpected_frames_are_told() -> None:
    hello, bye = _frame("broadcast", {}), _frame("broadcast", {}, "realtime:other")

    found = differences([hello], [bye], Memory())

    assert [difference.split("[")[0] for difference in found] == [
        "realtime:room broadcast, frame 1: missing ",
        "realtime:other broadcast, frame 1: unexpected ",
    ]


def test_a_confirmation_may_come_again() -> None:
    confirmation = _frame("system", {"status": "ok", "extension": "postgres_changes"})

    assert differences([confirmation], [confirmation, confirmation], Memory()) == []
    assert differences([confirmation], [], Memory()) != []


def test_what_a_race_decides_may_come_or_not() -> None:
    leaving = _frame("presence_diff", {})

    assert differences([], [leaving], Memory(), [[_ROOM, "presence_diff"]]) == []
    assert differences([], [leaving], Memory()) != []


@pytest.mark.parametrize(
    ("expected", "received"),
    [
        (10, 10.0),
        (1, True),
        (None, False),
        ("a", "b"),
        ({"a": 1}, {}),
        ({}, {"a": 1}),
        ([1], [1, 1]),
        ("<<ts>>", "2001-01-01T00:00:00.000Z"),
        ("<<re:^a$>>", "b"),
        ("<<repeat:x*3>>", "xx"),
        ("<<uuid:1>>", "no uuid"),
        ("<<ref:1>>", ""),
        ("<<bid:join|0.0>>", True),
        (["<<ref:1>>", "<<ref:1>>"], ["a", "b"]),
        (["<<ref:1>>", "<<ref:2>>"], ["a", "a"]),
        ({"a": "<<bid:join|0.0>>", "b": "<<bid:join|1.0>>"}, {"a": 7, "b": 7}),
    ],
)
def test_values_differ(expected: Any, received: Any) -> None:
    assert len(list(Memory().differences(expected, received))) == 1


@pytest.mark.parametrize(
    ("expected", "received"),
    [
        (["<<ref:1>>", "<<ref:1>>", "<<ref:2>>"], ["a", "a", "b"]),
        ({"a": "<<bid:join|0.0>>", "b": "<<bid:join|0.1>>"}, {"a": 7, "b": 7}),
        ({"<<uuid:1>>": 1}, {"01234567-89ab-cdef-0123-456789abcdef": 1}),
        ("<<re:seconds ago$>>", "expired 7 seconds ago"),
    ],
)
def test_values_agree(expected: Any, received: Any) -> None:
    assert list(Memory().differences(expected, received)) == []


def test_ids_of_bindings_come_in_any_order() -> None:
    memory, first, second = Memory(), "<<bid:join|0.0>>", "<<bid:join|1.0>>"

    assert list(memory.differences([[first], [second]], [[7], [3]])) == []
    assert list(memory.differences([first, second], [3, 7])) == []
    assert list(memory.differences([first, second], [3, 3])) != []
