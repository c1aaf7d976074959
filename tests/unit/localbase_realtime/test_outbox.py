from localbase.realtime.outbox import Encoder, Outbox
from localbase.realtime.protocol import BinaryBroadcast, Encoding, Message, Version

MESSAGE = Message("t", "e", {"text": "x" * 100})


async def test_frames_come_in_order() -> None:
    outbox = Outbox(Version.V2, Encoder(), lambda: None)

    for event in ("a", "b"):
        outbox.send(Message("t", event, {}))

    assert [await outbox.take(), await outbox.take()] == ['[null,null,"t","a",{}]', '[null,null,"t","b",{}]']


async def test_overflow__is_told_once_and_nothing_more_is_kept() -> None:
    overflows: list[bool] = []
    outbox = Outbox(Version.V2, Encoder(), lambda: overflows.append(True), limit=1000)

    for _ in range(50):
        outbox.send(MESSAGE)

    assert overflows == [True]


async def test_overflow__does_not_happen_to_who_keeps_up() -> None:
    overflows: list[bool] = []
    outbox = Outbox(Version.V2, Encoder(), lambda: overflows.append(True), limit=1000)

    for _ in range(50):
        outbox.send(MESSAGE)
        await outbox.take()

    assert overflows == []


def test_encoder__encodes_a_message_once_per_version() -> None:
    encoder = Encoder()

    first, again = encoder.encode(Version.V2, MESSAGE), encoder.encode(Version.V2, MESSAGE)

    assert first is again
    assert encoder.encode(Version.V1, MESSAGE) != first
    assert encoder.encode(Version.V1, BinaryBroadcast("t", "e", b"", Encoding.BYTES, b"")) is None
