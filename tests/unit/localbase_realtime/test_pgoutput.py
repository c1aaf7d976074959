"""The bytes were recorded from a Postgres 18: table rec (id int primary key, name text, big text)."""

from datetime import UTC, datetime

import pytest

from localbase.realtime.pgoutput import UNCHANGED, Change, Decoder, Operation

BEGIN = "42000000000222dc78000303adb8351329000008d3"
RELATION = (
    "52000040797075626c696300726563006400030169640000000017ffffffff"
    "006e616d650000000019ffffffff006269670000000019ffffffff"
)
RELATION_IDENTITY_FULL = (
    "52000040797075626c696300726563006600030169640000000017ffffffff"
    "016e616d650000000019ffffffff016269670000000019ffffffff"
)
COMMIT = "4300000000000222dc78000000000222dca8000303adb8351329"
INSERT = "49000040794e00037400000001317400000002c3a96e"
UPDATE_UNCHANGED_TOAST = "55000040794e000374000000013274000000016375"
UPDATE_KEY = "55000040794b00037400000001316e6e4e00037400000001337400000002c3a96e"
DELETE = "44000040794b00037400000001336e6e"
TRUNCATE = "54000000010000004079"
# As recorded, but for the length of the long value.
UPDATE_IDENTITY_FULL = (
    "55000040794f000374000000013274000000016374000000037878784e000374000000013274000000016475"
)


@pytest.fixture
def decoder() -> Decoder:
    decoder = Decoder()
    for message in (BEGIN, RELATION):
        assert decoder.decode(bytes.fromhex(message)) is None
    return decoder


def decode(decoder: Decoder, message: str) -> Change:
    change = decoder.decode(bytes.fromhex(message))
    assert change is not None
    return change


def test_insert(decoder: Decoder) -> None:
    change = decode(decoder, INSERT)

    assert change.operation is Operation.INSERT
    assert (change.relation.schema, change.relation.name) == ("public", "rec")
    assert change.relation.identity == {"id"}
    assert change.new == {"id": "1", "name": "é", "big": None}
    assert change.old == {}


def test_commit_time_is_that_of_the_transaction(decoder: Decoder) -> None:
    assert decode(decoder, INSERT).commit_time == datetime(2026, 11, 20, 5, 59, 44, 843561, UTC)


def test_update__unchanged_toast(decoder: Decoder) -> None:
    change = decode(decoder, UPDATE_UNCHANGED_TOAST)

    assert change.new == {"id": "2", "name": "c", "big": UNCHANGED}
    assert change.old == {}


def test_update__of_the_key_brings_the_old_key(decoder: Decoder) -> None:
    change = decode(decoder, UPDATE_KEY)

    assert change.new["id"] == "3"
    assert change.old == {"id": "1"}


def test_update__identity_full_brings_the_old_row(decoder: Decoder) -> None:
    change = decode(decoder, UPDATE_IDENTITY_FULL)

    assert change.old == {"id": "2", "name": "c", "big": "xxx"}
    assert change.new == {"id": "2", "name": "d", "big": UNCHANGED}


def test_delete__brings_the_key(decoder: Decoder) -> None:
    change = decode(decoder, DELETE)

    assert change.operation is Operation.DELETE
    assert change.old == {"id": "3"}
    assert change.new == {}


@pytest.mark.parametrize("message", [COMMIT, TRUNCATE])
def test_other_messages_are_no_changes(decoder: Decoder, message: str) -> None:
    assert decoder.decode(bytes.fromhex(message)) is None


def test_relation__the_latest_description_counts(decoder: Decoder) -> None:
    decoder.decode(bytes.fromhex(RELATION_IDENTITY_FULL))

    assert decode(decoder, INSERT).relation.identity == {"id", "name", "big"}
