"""The channels joined to each topic, across all sockets, and what they hear of each other."""

from dataclasses import dataclass, field
from typing import Any

from localbase.realtime.channel import Channel
from localbase.realtime.presence import Metas, Presence
from localbase.realtime.protocol import Message, Outgoing


@dataclass(slots=True)
class _Room:
    members: dict[Channel, None] = field(default_factory=dict)
    presence: Presence = field(default_factory=Presence)


class Rooms:
    """A private and a public channel of one topic are in rooms of their own."""

    def __init__(self) -> None:
        self._rooms: dict[tuple[str, bool], _Room] = {}

    def enter(self, channel: Channel) -> None:
        self._rooms.setdefault(channel.room, _Room()).members[channel] = None

    def leave(self, channel: Channel) -> None:
        room = self._rooms.get(channel.room)
        if not room or channel not in room.members:
            return
        del room.members[channel]
        _announce(room, channel.topic, room.presence.untrack(channel))
        if not room.members:
            del self._rooms[channel.room]

    def broadcast(self, sender: Channel, message: Outgoing) -> None:
        """Send to everybody in the sender's room; to itself only if it asked for that."""
        for member in self._rooms[sender.room].members:
            if member is not sender or sender.join.echo:
                member.send(message)

    def publish(self, topic: str, message: Outgoing, *, private: bool) -> None:
        """Send what comes from no channel: from the HTTP API or from the database."""
        if room := self._rooms.get((topic, private)):
            for member in room.members:
                member.send(message)

    def present(self, channel: Channel) -> Metas:
        return self._rooms[channel.room].presence.state()

    def track(self, channel: Channel, payload: dict[str, Any]) -> None:
        room = self._rooms[channel.room]
        _announce(room, channel.topic, room.presence.track(channel, channel.presence_key, payload))

    def untrack(self, channel: Channel) -> None:
        room = self._rooms[channel.room]
        _announce(room, channel.topic, room.presence.untrack(channel))


def _announce(room: _Room, topic: str, difference: dict[str, Metas] | None) -> None:
    if difference is not None:
        message = Message(topic, "presence_diff", difference)
        for member in room.members:
            member.send(message)
