"""Broadcasts that come from no channel: from the HTTP API or from the database."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localbase.realtime.joins import PREFIX
from localbase.realtime.pgoutput import Change, Operation
from localbase.realtime.protocol import BinaryBroadcast, Encoding, Message, Outgoing, dumps, loads

_BLANK = "can't be blank"
_INVALID = "is invalid"

Errors = Mapping[str, list[Any]]


class InvalidAnnouncementsError(Exception):
    """`errors` says per message and field what is wrong."""

    def __init__(self, errors: Errors) -> None:
        super().__init__("invalid messages")
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Announcement:
    topic: str
    message: Outgoing
    private: bool

    @property
    def name(self) -> str:
        return self.topic.removeprefix(PREFIX)


def parse_announcements(body: Any) -> list[Announcement]:
    """The batch in a request's body. Raises InvalidAnnouncementsError if any of its messages is wrong."""
    messages = body.get("messages") if isinstance(body, dict) else None
    if not messages:
        raise InvalidAnnouncementsError({"messages": [_BLANK]})
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise InvalidAnnouncementsError({"messages": [_INVALID]})
    errors = [_errors(message) for message in messages]
    if any(errors):
        raise InvalidAnnouncementsError({"messages": errors})
    return [_from_message(message) for message in messages]


def single(name: str, event: str, body: bytes, *, is_json: bool, private: bool) -> Announcement:
    """The announcement that a request for one event makes. Raises ValueError if its JSON is not JSON."""
    payload = _object(body) if is_json else body
    encoding = Encoding.JSON if is_json else Encoding.BYTES
    topic = PREFIX + name
    return Announcement(topic, BinaryBroadcast(topic, event, b"", encoding, payload), private)


def from_row(change: Change) -> Announcement | None:
    """What a row written to realtime.messages announces, if that is what the change is."""
    row = change.new
    # A partition goes by its own name.
    in_messages = change.relation.schema == "realtime" and change.relation.name.startswith("messages")
    if not in_messages or change.operation is not Operation.INSERT or row.get("extension") != "broadcast":
        return None
    match row.get("topic"), row.get("event"), row.get("payload"):
        case str(name), str(event), str() | None as payload:
            meta = dumps({"id": row["id"]}).encode()
            body = (payload or "{}").encode()
            topic = PREFIX + name
            message = BinaryBroadcast(topic, event, meta, Encoding.JSON, body)
            return Announcement(topic, message, private=row.get("private") == "t")
    return None


def replayed(topic: str, join_ref: Any, event: str, payload: Any, identifier: uuid.UUID) -> Message:
    """An earlier announcement, told again to one who has just joined."""
    meta = {"id": str(identifier), "replayed": True}
    content = {"type": "broadcast", "event": event, "payload": payload, "meta": meta}
    return Message(topic, "broadcast", content, join_ref=join_ref)


def _errors(message: dict[str, Any]) -> dict[str, list[str]]:
    checks = {"topic": str, "event": str, "payload": dict}
    return {
        field: [_BLANK if message.get(field) in (None, "") else _INVALID]
        for field, kind in checks.items()
        if not isinstance(message.get(field), kind) or message[field] == ""
    }


def _from_message(message: dict[str, Any]) -> Announcement:
    topic = PREFIX + message["topic"]
    payload = {"type": "broadcast", "event": message["event"], "payload": message["payload"]}
    return Announcement(topic, Message(topic, "broadcast", payload), private=message.get("private") is True)


def _object(body: bytes) -> bytes:
    value = loads(body) if body else {}
    return dumps(value if isinstance(value, dict) else {"_json": value}).encode()
