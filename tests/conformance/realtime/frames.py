"""Frames of both versions of the protocol, as values that can be compared."""

import json
from typing import Any

Frame = Any
"""An object (1.0.0), an array of five (2.0.0), or a binary frame taken apart."""

Lane = tuple[str, str]
"""Frames of one lane come in a fixed order; those of different lanes may come in any."""

_USER_BROADCAST = 4
_JSON = 1
_HEADER_SIZE = 5
_KINDS = {
    **dict.fromkeys(("phx_reply", "phx_close", "phx_error", "system", "presence_state"), "channel"),
    **dict.fromkeys(("postgres_changes", "INSERT", "UPDATE", "DELETE"), "changes"),
}


def decode(message: str | bytes) -> Frame:
    return json.loads(message) if isinstance(message, str) else _take_apart(message)


def _take_apart(message: bytes) -> Frame:
    kind, *sizes, encoding = message[:_HEADER_SIZE]
    if kind != _USER_BROADCAST:
        return {"<<binary>>": kind, "<<hex>>": message.hex()}
    rest, parts = message[_HEADER_SIZE:], []
    for size in sizes:
        parts.append(rest[:size].decode())
        rest = rest[size:]
    topic, event, meta = parts
    return {
        "<<binary>>": kind,
        "topic": topic,
        "event": event,
        "meta": json.loads(meta) if meta else "",
        "encoding": encoding,
        "payload": json.loads(rest) if encoding == _JSON else {"<<hex>>": rest.hex()},
    }


def topic_and_event(frame: Frame) -> tuple[str, str]:
    """In a binary frame, `event` is what a client named; the event of the protocol is always broadcast."""
    if isinstance(frame, list):
        return frame[2], frame[3]
    return frame["topic"], "broadcast" if "<<binary>>" in frame else frame["event"]


def lane(frame: Frame) -> Lane:
    topic, event = topic_and_event(frame)
    return topic, _KINDS.get(event, event)


def confirms_subscription(frame: Frame) -> bool:
    if topic_and_event(frame)[1] != "system":
        return False
    payload = frame[4] if isinstance(frame, list) else frame["payload"]
    return (payload.get("status"), payload.get("extension")) == ("ok", "postgres_changes")
