"""The two framings of the Phoenix channel protocol, 1.0.0 (objects) and 2.0.0 (arrays, binary frames)."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn


class Version(StrEnum):
    V1 = "1.0.0"
    V2 = "2.0.0"


class Encoding:
    """How the payload of a binary frame is to be read."""

    BYTES = 0
    JSON = 1


@dataclass(frozen=True, slots=True)
class Message:
    """One frame of either direction. References are echoed with the JSON type they came with."""

    topic: str
    event: str
    payload: Any
    ref: Any = None
    join_ref: Any = None


@dataclass(frozen=True, slots=True)
class BinaryPush:
    """A broadcast a 2.0.0 client pushes as a binary frame."""

    topic: str
    event: str
    meta: bytes
    encoding: int
    payload: bytes
    ref: str | None
    join_ref: str | None


@dataclass(frozen=True, slots=True)
class BinaryBroadcast:
    """A broadcast that 2.0.0 clients receive as a binary frame and 1.0.0 clients as an object."""

    topic: str
    event: str
    meta: bytes
    encoding: int
    payload: bytes


Incoming = Message | BinaryPush
Outgoing = Message | BinaryBroadcast

_PUSH_KIND = 3
_BROADCAST_KIND = 4
_PUSH_HEADER = 7
_MAX_FIELD = 255


def reply(
    to: Message | BinaryPush, response: Any = None, *, status: str = "ok", joined: bool = True
) -> Message:
    payload = {"status": status, "response": {} if response is None else response}
    return Message(to.topic, "phx_reply", payload, to.ref, to.join_ref if joined else None)


def decode(version: Version, frame: str | bytes) -> Incoming | None:
    """The message in a frame, or None: the real server answers nothing to what it cannot read."""
    if isinstance(frame, bytes):
        return _decode_binary(frame) if version is Version.V2 else None
    try:
        value = loads(frame)
    except (ValueError, RecursionError):
        return None
    return _from_array(value) if version is Version.V2 else _from_object(value)


def encode(version: Version, message: Outgoing) -> str | bytes | None:
    """The frame for a message, or None if this version has no way to say it."""
    if isinstance(message, BinaryBroadcast):
        return _encode_binary(message) if version is Version.V2 else _binary_as_object(message)
    if version is Version.V2:
        return dumps([message.join_ref, message.ref, message.topic, message.event, message.payload])
    return _object(message)


def loads(text: str | bytes) -> Any:
    """JSON that can be written again. Raises ValueError for NaN, infinities and half a surrogate pair too."""
    text = text.decode() if isinstance(text, bytes) else text
    value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    if "\\u" in text:
        dumps(value).encode()
    return value


def dumps(value: Any) -> str:
    return _ENCODE(value)


_ENCODE: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), check_circular=False, allow_nan=False
).encode


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse(text)
    return number


def _from_object(value: Any) -> Message | None:
    match value:
        case {"topic": str(topic), "event": str(event), "payload": payload, "ref": ref}:
            return Message(topic, event, payload, ref, value.get("join_ref"))
    return None


def _from_array(value: Any) -> Message | None:
    match value:
        case [join_ref, ref, str(topic), str(event), payload]:
            return Message(topic, event, payload, ref, join_ref)
    return None


def _decode_binary(frame: bytes) -> BinaryPush | None:
    if len(frame) < _PUSH_HEADER or frame[0] != _PUSH_KIND:
        return None
    if len(frame) < _PUSH_HEADER + sum(frame[1:6]):
        return None
    fields, rest = _split(frame[_PUSH_HEADER:], frame[1:6])
    try:
        join_ref, ref, topic, event = (field.decode() for field in fields[:4])
    except UnicodeDecodeError:
        return None
    return BinaryPush(topic, event, fields[4], frame[6], rest, ref or None, join_ref or None)


def _split(body: bytes, lengths: bytes) -> tuple[list[bytes], bytes]:
    fields, start = [], 0
    for length in lengths:
        fields.append(body[start : start + length])
        start += length
    return fields, body[start:]


def _encode_binary(message: BinaryBroadcast) -> bytes | None:
    fields = [message.topic.encode(), message.event.encode(), message.meta]
    if any(len(field) > _MAX_FIELD for field in fields):
        return None
    header = bytes([_BROADCAST_KIND, *map(len, fields), message.encoding])
    return b"".join([header, *fields, message.payload])


def _binary_as_object(message: BinaryBroadcast) -> str | None:
    if message.encoding != Encoding.JSON:
        return None
    try:
        payload = {"type": "broadcast", "event": message.event, "payload": loads(message.payload)}
        if message.meta:
            payload["meta"] = loads(message.meta)
    except (ValueError, RecursionError):
        return None
    return _object(Message(message.topic, "broadcast", payload))


def _object(message: Message) -> str:
    fields = {"ref": message.ref, "payload": message.payload, "event": message.event, "topic": message.topic}
    return dumps(fields)
