"""The conversation with one socket, without the socket.

`receive` takes a client's message. Answers go to the `send` it was made with; what needs the database
comes back as effects for the caller to carry out and to report with `authorized` and `subscribed`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from localbase.keys import Keys
from localbase.realtime.channel import Channel, Permissions, Send
from localbase.realtime.identity import Identity, TokenError, identify
from localbase.realtime.joins import PREFIX, JoinError, Replay, parse_join
from localbase.realtime.limits import MAX_CHANNELS, MAX_PAYLOAD
from localbase.realtime.protocol import BinaryBroadcast, BinaryPush, Incoming, Message, Version, reply
from localbase.realtime.rooms import Rooms

UNMATCHED = {"reason": "unmatched topic"}


@dataclass(frozen=True, slots=True)
class Authorize:
    """Find out what the policies let a private channel do, then call `authorized`; nothing else meanwhile."""

    channel: Channel
    request: Message


@dataclass(frozen=True, slots=True)
class Subscribe:
    """(Re)start the channel's database changes with its present identity, then call `subscribed`."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    channel: Channel


@dataclass(frozen=True, slots=True)
class SendEarlier:
    """Send the broadcasts the channel's join wants replayed."""

    channel: Channel
    wanted: Replay


Effect = Authorize | Subscribe | Unsubscribe | SendEarlier
Effects = Sequence[Effect]


class Session:
    def __init__(self, version: Version, keys: Keys, apikey: str, rooms: Rooms, send: Send) -> None:
        self._version = version
        self._keys = keys
        self._apikey = apikey
        self._rooms = rooms
        self._send = send
        self._channels: dict[str, Channel] = {}

    def receive(self, message: Incoming, now: float, size: int = 0) -> Effects:
        """`size` is that of the frame in bytes."""
        channel = self._channels.get(message.topic)
        broadcast = isinstance(message, BinaryPush) or message.event == "broadcast"
        if channel and broadcast and size > MAX_PAYLOAD:
            self._refuse_size(channel, message)
            return []
        match message:
            case BinaryPush():
                return self._receive_binary(message)
            case Message(topic="phoenix", event="heartbeat"):
                self._send(reply(message, joined=False))
                return []
            case Message(event="phx_join") if message.topic.startswith(PREFIX):
                return self._join(message, now)
            case Message():
                return self._push(message, now)
            case _:
                assert_never(message)

    def next_expiry(self) -> float | None:
        return min((channel.identity.expires for channel in self._channels.values()), default=None)

    def expire(self, now: float) -> list[Unsubscribe]:
        """Close the channels whose token has expired."""
        effects: list[Unsubscribe] = []
        for channel in list(self._channels.values()):
            if error := channel.identity.expired(now):
                effects += self._shut(channel, error.reason)
        return effects

    def close(self) -> list[Unsubscribe]:
        """The socket is gone."""
        return [effect for channel in list(self._channels.values()) for effect in self._remove(channel)]

    def authorized(self, effect: Authorize, permissions: Permissions) -> Effects:
        channel, joining = effect.channel, effect.request.event == "phx_join"
        if not (joining or channel.open):
            return []  # its token expired while the database was asked
        channel.permissions = permissions
        if permissions.read:
            return self._admit(channel, effect.request) if joining else _resubscribe(channel)
        reason = f"You do not have permissions to read from this Channel topic: {channel.name}"
        if joining:
            return self._refuse(effect.request, JoinError("Unauthorized", reason))
        return self._shut(channel, reason)

    def subscribed(self, channel: Channel, error: str | None = None) -> None:
        if channel.open:
            status = "error" if error else "ok"
            channel.system(error or "Subscribed to PostgreSQL", status=status, extension="postgres_changes")
            self._greet(channel)

    def _join(self, message: Message, now: float) -> Effects:
        try:
            join = parse_join(message.topic, message.payload)
            self._check_number(message.topic)
            identity = self._identity_of_join(message.payload, now)
        except (JoinError, TokenError) as error:
            return self._refuse(message, error)
        channel = Channel(message.topic, message.join_ref, join, identity, self._send)
        return [Authorize(channel, message)] if join.private else self._admit(channel, message)

    def _check_number(self, topic: str) -> None:
        if len(self._channels) >= MAX_CHANNELS and topic not in self._channels:
            raise JoinError("ChannelRateLimitReached", "Too many channels")

    def _identity_of_join(self, payload: dict[str, Any], now: float) -> Identity:
        given = (_token(payload.get(name)) for name in ("access_token", "user_token"))
        token = next((token for token in given if token is not None), self._apikey)
        return identify(self._keys, token, now)

    def _admit(self, channel: Channel, request: Message) -> Effects:
        self._send(reply(request, channel.join_response()))
        effects: list[Effect] = [*self._supersede(channel.topic)]
        channel.open = True
        self._channels[channel.topic] = channel
        self._rooms.enter(channel)
        if not channel.join.bindings:
            self._greet(channel)
        if channel.join.replication_ready:
            channel.system("Replication connection established")
        if channel.join.replay:
            effects.append(SendEarlier(channel, channel.join.replay))
        return [*effects, *_resubscribe(channel)]

    def _greet(self, channel: Channel) -> None:
        """Tell who is present; where there are bindings, the real server answers about them first."""
        if channel.join.presence and not channel.greeted:
            channel.push("presence_state", self._rooms.present(channel))
        channel.greeted = True

    def _refuse(self, request: Message, error: Exception) -> Effects:
        self._send(reply(request, {"reason": str(error)}, status="error"))
        return self._supersede(request.topic)

    def _supersede(self, topic: str) -> list[Unsubscribe]:
        """Close the channel that an earlier join of the topic made, as any later join does."""
        old = self._channels.get(topic)
        return self._end(old, "phx_close", {}) if old else []

    def _push(self, message: Message, now: float) -> Effects:
        channel = self._channels.get(message.topic)
        if not channel:
            return self._push_to_nothing(message)
        if message.event == "phx_leave":
            return self._leave(channel, message)
        message = replace(message, join_ref=channel.join_ref)
        match message.event:
            case "access_token":
                return self._refresh(channel, message, now)
            case "broadcast":
                return self._broadcast(channel, message)
            case "presence":
                return self._present(channel, message, now)
        return []

    def _push_to_nothing(self, message: Incoming) -> Effects:
        left = message.event == "phx_leave" and message.topic.startswith(PREFIX)
        answer = reply(message, joined=True) if left else None
        self._send(answer or reply(message, UNMATCHED, status="error", joined=False))
        return []

    def _leave(self, channel: Channel, message: Message) -> Effects:
        if message.join_ref not in (None, channel.join_ref):
            return []
        self._send(reply(message))
        return self._end(channel, "phx_close", {})

    def _refresh(self, channel: Channel, message: Message, now: float) -> Effects:
        payload = message.payload if isinstance(message.payload, dict) else {}
        token = _token(payload.get("access_token"))
        if token is None:
            return []
        try:
            identity = identify(self._keys, token, now)
        except TokenError as error:
            return self._shut(channel, error.refresh_reason)
        if identity == channel.identity:
            return []
        channel.identity = identity
        return [Authorize(channel, message)] if channel.join.private else _resubscribe(channel)

    def _broadcast(self, channel: Channel, message: Message) -> Effects:
        if self._version is Version.V2 and not isinstance(message.payload, dict):
            return self._end(channel, "phx_error", {"reason": "channel_crash"})
        self._spread(channel, message, Message(message.topic, "broadcast", message.payload))
        return []

    def _receive_binary(self, push: BinaryPush) -> Effects:
        channel = self._channels.get(push.topic)
        if not channel:
            return self._push_to_nothing(push)
        self._spread(channel, push, BinaryBroadcast(push.topic, push.event, b"", push.encoding, push.payload))
        return []

    def _refuse_size(self, channel: Channel, push: Incoming) -> None:
        if channel.join.ack and push.ref is not None:
            self._send(reply(push, "payload_size_exceeded", status="error"))

    def _spread(self, channel: Channel, push: Incoming, message: Message | BinaryBroadcast) -> None:
        if not channel.permissions.write:
            return
        self._rooms.broadcast(channel, message)
        if channel.join.ack and push.ref is not None:
            self._send(reply(push))

    def _present(self, channel: Channel, message: Message, now: float) -> Effects:
        if channel.presence_rate.exceeded(now):
            return self._shut(channel, "Client presence rate limit exceeded")
        answer = self._presence_answer(channel, message.payload)
        self._send(reply(message, answer, status="ok" if answer is None else "error"))
        return []

    def _presence_answer(self, channel: Channel, payload: Any) -> dict[str, str] | None:
        """Track or untrack; None is success, anything else the error to answer with."""
        event = payload.get("event") if isinstance(payload, dict) else None
        if event is None:
            return None
        if not channel.permissions.present:
            return {}
        match str(event).lower(), payload.get("payload", {}):
            case "track", dict(meta):
                self._rooms.track(channel, meta)
            case "track", _:
                return {"reason": "Presence track payload must be a map"}
            case "untrack", _:
                self._rooms.untrack(channel)
            case _:
                return {}
        return None

    def _shut(self, channel: Channel, reason: str) -> list[Unsubscribe]:
        channel.system(reason, status="error")
        return self._end(channel, "phx_close", {})

    def _end(self, channel: Channel, event: str, payload: Any) -> list[Unsubscribe]:
        channel.end(event, payload)
        return self._remove(channel)

    def _remove(self, channel: Channel) -> list[Unsubscribe]:
        channel.open = False
        del self._channels[channel.topic]
        self._rooms.leave(channel)
        return [Unsubscribe(channel)] if channel.join.bindings else []


def _token(value: Any) -> str | None:
    """A token to use, or None for what the real server passes over, opaque keys among it."""
    return value if isinstance(value, str) and not value.startswith("sb_") else None


def _resubscribe(channel: Channel) -> Effects:
    return [Subscribe(channel)] if channel.join.bindings else []
