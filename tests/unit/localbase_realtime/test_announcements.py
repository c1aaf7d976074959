from datetime import UTC, datetime
from typing import Any

import pytest

from localbase.realtime.announcements import (
    Announcement,
    InvalidAnnouncementsError,
    from_row,
    parse_announcements,
    single,
)
from localbase.realtime.pgoutput import Change, Operation, Relation
from localbase.realtime.protocol import BinaryBroadcast, Encoding, Message

GOOD = {"topic": "room", "event": "e", "payload": {"a": 1}}
ROW = {
    "topic": "room",
    "event": "e",
    "extension": "broadcast",
    "payload": '{"a": 1}',
    "private": "t",
    "id": "7",
}


def test_parse_announcements() -> None:
    message = Message("realtime:room", "broadcast", {"type": "broadcast", "event": "e", "payload": {"a": 1}})

    assert parse_announcements({"messages": [GOOD, GOOD | {"private": True}]}) == [
        Announcement("realtime:room", message, private=False),
        Announcement("realtime:room", message, private=True),
    ]


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        (None, ["can't be blank"]),
        ({"messages": []}, ["can't be blank"]),
        ({"messages": "x"}, ["is invalid"]),
        ({"messages": [GOOD, GOOD | {"topic": ""}]}, [{}, {"topic": ["can't be blank"]}]),
        ({"messages": [GOOD | {"event": None, "payload": "x"}]},
         [{"event": ["can't be blank"], "payload": ["is invalid"]}]),
    ],
)  # fmt: skip
def test_parse_announcements__all_or_nothing(body: Any, errors: list[Any]) -> None:
    with pytest.raises(InvalidAnnouncementsError) as failure:
        parse_announcements(body)

    assert failure.value.errors == {"messages": errors}


@pytest.mark.parametrize(
    ("body", "payload"), [(b'{"a":1}', b'{"a":1}'), (b"", b"{}"), (b"[1]", b'{"_json":[1]}')]
)
def test_single__json(body: bytes, payload: bytes) -> None:
    announcement = single("room", "e", body, is_json=True, private=False)

    assert announcement.message == BinaryBroadcast("realtime:room", "e", b"", Encoding.JSON, payload)


def changed(
    operation: Operation = Operation.INSERT, name: str = "messages_2026_01_01", **columns: Any
) -> Change:
    relation = Relation(1, "realtime", name, tuple(ROW), frozenset({"id"}))
    return Change(relation, operation, datetime(2026, 1, 1, tzinfo=UTC), new=ROW | columns)


def test_from_row() -> None:
    message = BinaryBroadcast("realtime:room", "e", b'{"id":"7"}', Encoding.JSON, b'{"a": 1}')

    assert from_row(changed()) == Announcement("realtime:room", message, private=True)


@pytest.mark.parametrize(
    "change",
    [
        changed(Operation.UPDATE),
        changed(name="other"),
        changed(extension="presence"),
        changed(event=None),
    ],
)
def test_from_row__other_changes_announce_nothing(change: Change) -> None:
    assert from_row(change) is None
