from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localbase.realtime.protocol import (
    BinaryBroadcast,
    BinaryPush,
    Encoding,
    Message,
    Version,
    decode,
    encode,
    loads,
    reply,
)

REFS = st.none() | st.text() | st.integers()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
MESSAGES = st.builds(Message, st.text(), st.text(), JSON, REFS, REFS)


@given(MESSAGES)
def test_v2__round_trip(message: Message) -> None:
    frame = encode(Version.V2, message)

    assert frame is not None
    assert decode(Version.V2, frame) == message


@given(MESSAGES)
def test_v1__round_trip_but_for_the_join_ref(message: Message) -> None:
    frame = encode(Version.V1, message)

    assert frame is not None
    assert decode(Version.V1, frame) == Message(message.topic, message.event, message.payload, message.ref)


@pytest.mark.parametrize("version", Version)
@pytest.mark.parametrize(
    "frame", ["", "not json", "5", "null", "[]", "{}", '"x"', "[1,2,3]", '{"topic":"t"}']
)
def test_decode__what_is_no_message_is_nothing(version: Version, frame: str) -> None:
    assert decode(version, frame) is None


@given(st.binary())
def test_decode__any_bytes_are_survived(frame: bytes) -> None:
    assert decode(Version.V1, frame) is None
    decode(Version.V2, frame)


def test_decode__the_framing_of_the_other_version_is_nothing() -> None:
    assert decode(Version.V1, '["1","1","realtime:a","phx_join",{}]') is None
    assert decode(Version.V2, '{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}') is None


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a":-Infinity}', "1e999"])
def test_loads__refuses_what_json_cannot_say(text: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        loads(text)


@pytest.mark.parametrize("text", [r'"\ud800"', r'{"\udc00":1}', "\xff"])
def test_loads__refuses_text_that_cannot_be_written_again(text: str) -> None:
    with pytest.raises(ValueError, match=r"surrogates|utf-8"):
        loads(text.encode("latin-1"))


def test_loads__whole_surrogate_pairs_are_text() -> None:
    assert loads(r'"\ud83d\ude00"') == "😀"


def test_decode__nested_too_deeply_is_nothing() -> None:
    assert decode(Version.V2, "[" * 100_000) is None


def test_decode__binary_push_that_is_too_short_is_nothing() -> None:
    assert decode(Version.V2, bytes([3, 1, 1, 9, 1, 0, 1]) + b"11") is None


def test_encode__json_that_is_none_cannot_be_said_in_v1() -> None:
    assert encode(Version.V1, BinaryBroadcast("t", "e", b"", Encoding.JSON, b"{")) is None


def test_decode__binary_push() -> None:
    frame = (
        bytes([3, 1, 2, 10, 2, 7, Encoding.JSON])
        + b"1"
        + b"r7"
        + b"realtime:a"
        + b"js"
        + b'{"m":1}'
        + b'{"k":1}'
    )

    assert decode(Version.V2, frame) == BinaryPush(
        "realtime:a", "js", b'{"m":1}', Encoding.JSON, b'{"k":1}', ref="r7", join_ref="1"
    )


def test_encode__binary_broadcast() -> None:
    message = BinaryBroadcast("realtime:a", "ev", b'{"id":"7"}', Encoding.JSON, b'{"k":1}')

    assert encode(Version.V2, message) == b'\x04\x0a\x02\x0a\x01realtime:aev{"id":"7"}{"k":1}'
    assert decode(Version.V1, encode(Version.V1, message) or "") == Message(
        "realtime:a",
        "broadcast",
        {"type": "broadcast", "event": "ev", "payload": {"k": 1}, "meta": {"id": "7"}},
    )


def test_encode__bytes_cannot_be_said_in_v1() -> None:
    assert encode(Version.V1, BinaryBroadcast("t", "e", b"", Encoding.BYTES, b"\x00\xff")) is None


@pytest.mark.parametrize(("joined", "join_ref"), [(True, "1"), (False, None)])
def test_reply__carries_the_join_ref_only_on_a_joined_topic(joined: bool, join_ref: Any) -> None:
    answer = reply(Message("t", "e", {}, 7, "1"), joined=joined)

    assert answer == Message("t", "phx_reply", {"status": "ok", "response": {}}, 7, join_ref)
