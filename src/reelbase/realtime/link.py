"""One socket and its channels, as a protocol without I/O: frames and the time in, actions out.

The `realtime` package gives up after five attempts, falls silent when a callback raises, takes the end of an
old channel for that of the new one and never looks at heartbeat replies. Here every trouble has one answer:
what is affected is down, and comes up again after a growing delay, for ever. Whoever listens is told of
both, and reads the log after each `Up`.
"""

import random
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from typing import Any, TypeAlias

from reelbase.realtime.backoff import backoff
from reelbase.realtime.endpoint import Timing
from reelbase.realtime.source import Source

Frame: TypeAlias = dict[str, Any]

_JOINS_AT_ONCE = 20
"""Hosted projects count joins by the second."""


@dataclass(frozen=True, slots=True)
class Open:
    """Connect, then say `opened` or `lost`."""


@dataclass(frozen=True, slots=True)
class Close:
    """Drop the socket, then say `lost`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    frame: Frame = field(repr=False)


@dataclass(frozen=True, slots=True)
class Renew:
    """Get a fresh token, then say `renewed` or `not_renewed`."""


@dataclass(frozen=True, slots=True)
class Up:
    """Rows of the source flow from now on. Said again whenever some may have been missed meanwhile."""

    source: Source


@dataclass(frozen=True, slots=True)
class Down:
    source: Source
    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row that arrived; None in place of one that cannot be read."""

    source: Source
    record: Frame | None


Action: TypeAlias = Open | Close | Send | Renew | Up | Down | Row


class _Socket(Enum):
    CLOSED = auto()
    OPENING = auto()
    OPEN = auto()


class _Stage(Enum):
    IDLE = auto()
    JOINING = auto()
    UP = auto()


class _Patience:
    """Delays that grow, until what comes up holds for longer than it was waited for."""

    def __init__(self, first: float, longest: float, chance: random.Random) -> None:
        self._begin = partial(backoff, first, longest, chance=chance)
        self._delays = self._begin()
        self._waited = 0.0
        self._up_at: float | None = None

    def came_up(self, now: float) -> None:
        if self._up_at is None:
            self._up_at = now

    def delay(self, now: float) -> float:
        """How long to wait, after a failure or an end now."""
        # A server that lets everybody in and ends at once is not to be asked at the shortest beat for ever.
        if self._up_at is not None and now - self._up_at > self._waited:
            self._delays = self._begin()
        self._up_at = None
        self._waited = next(self._delays)
        return self._waited


@dataclass(slots=True)
class _Channel:
    source: Source
    patience: _Patience
    stage: _Stage = _Stage.IDLE
    topic: str = ""
    join_ref: str = ""
    due: float = 0.0
    """When to join, or until when the join should be answered."""
    late: bool = False
    patient_until: float = 0.0
    """Until when no other fresh token hastens its join."""


class Link:
    """The state of one socket. Calls return what is to be done now; `poll` at `deadline` at the latest."""

    def __init__(self, timing: Timing, chance: random.Random | None = None) -> None:
        self._timing = timing
        self._chance = chance or random.Random()  # noqa: S311  # spreads load, guards nothing
        self._socket = _Socket.CLOSED
        self._channels: dict[Source, _Channel] = {}
        self._by_topic: dict[str, _Channel] = {}
        self._token: str | None = None
        self._token_due: float | None = None
        self._renewing = False
        self._refs = 0
        self._patience = self._patience_of(timing.longest_retry)
        self._open_at = 0.0
        self._heartbeat_at = 0.0
        self._silent_since: float | None = None
        self._ends_at = 0.0

    # What is wanted -----------------------------------------------------------------------------

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(self._channels)

    def is_up(self, source: Source) -> bool:
        channel = self._channels.get(source)
        return channel is not None and channel.stage is _Stage.UP

    def add(self, source: Source) -> None:
        """Want the rows of a source; they begin to flow some time after."""
        self._channels.setdefault(source, _Channel(source, self._patience_of(self._timing.longest_rejoin)))

    def remove(self, source: Source) -> list[Action]:
        channel = self._channels.pop(source, None)
        if channel is None:
            return []
        return self._left(channel)

    # What happens -------------------------------------------------------------------------------

    def opened(self, now: float, token: str, token_due_in: float | None) -> list[Action]:
        """The socket is open, and this token is good for so many seconds."""
        self._socket = _Socket.OPEN
        self._refs = 0
        self._heartbeat_at = now + self._timing.heartbeat
        self._silent_since = None
        self._ends_at = now + self._timing.lifetime * self._chance.uniform(0.9, 1.0)
        self._set_token(now, token, token_due_in)
        return self.poll(now)

    def lost(self, now: float, reason: str) -> list[Action]:
        """The socket is gone, or could not be opened."""
        self._socket = _Socket.CLOSED
        self._open_at = now + self._patience.delay(now)
        self._renewing = False
        self._by_topic.clear()
        downs: list[Action] = []
        for channel in self._channels.values():
            channel.stage, channel.due, channel.late = _Stage.IDLE, 0.0, False
            downs.append(Down(channel.source, reason))
        return downs

    def renewed(self, now: float, token: str, token_due_in: float | None) -> list[Action]:
        """A fresh token: the server is told for each channel, before it ends them for the old one. Those that
        it did end, or refused, are joined anew."""
        self._renewing = False
        if token != self._token:
            self._hasten(now)
        self._set_token(now, token, token_due_in)
        joined = [channel for channel in self._channels.values() if channel.stage is not _Stage.IDLE]
        return [self._push(channel, "access_token", {"access_token": token}) for channel in joined]

    def not_renewed(self, now: float) -> list[Action]:
        """There is no fresh token now; ask again soon. With the old one the server ends the channels."""
        self._renewing = False
        self._token_due = now + self._chance.uniform(0.5, 1.0) * self._timing.first_retry * 4
        return []

    def received(self, now: float, frame: Frame) -> list[Action]:
        """A frame arrived. Rows first: they are what most frames are."""
        self._silent_since = None
        topic, event, payload = frame.get("topic"), frame.get("event"), frame.get("payload")
        channel = self._by_topic.get(topic) if isinstance(topic, str) else None
        if channel is None or not isinstance(payload, dict):
            return []
        if event == "postgres_changes":
            return [Row(channel.source, _changed(payload.get("data")))]
        if event == "broadcast":
            return [Row(channel.source, _object(payload.get("payload")))]
        return self._controlled(now, channel, frame, payload)

    # What time brings ---------------------------------------------------------------------------

    def poll(self, now: float) -> list[Action]:
        """What is due."""
        if self._socket is _Socket.CLOSED:
            if not self._channels or now < self._open_at:
                return []
            self._socket = _Socket.OPENING
            return [Open()]
        if self._socket is _Socket.OPENING:
            return []
        if self._silent_since is not None and now >= self._silent_since + self._timing.silence:
            return [Close(f"no sign of life for {self._timing.silence:g} s")]
        if now >= self._ends_at:
            return [Close("it is renewed before the server's limit")]
        return [*self._beat(now), *self._renewal(now), *self._overdue(now), *self._joins(now)]

    def deadline(self) -> float | None:
        """When `poll` should be called next; None while nothing is due before something happens."""
        if self._socket is _Socket.CLOSED:
            return self._open_at if self._channels else None
        if self._socket is _Socket.OPENING:
            return None
        times = [self._heartbeat_at, self._ends_at]
        if self._silent_since is not None:
            times.append(self._silent_since + self._timing.silence)
        if self._token_due is not None and not self._renewing:
            times.append(self._token_due)
        waiting = {_Stage.JOINING, _Stage.IDLE} if self._joining() < _JOINS_AT_ONCE else {_Stage.JOINING}
        times += [channel.due for channel in self._channels.values() if channel.stage in waiting]
        return min(times)

    # --------------------------------------------------------------------------------------------

    def _hasten(self, now: float) -> None:
        """Join what waits for it, once in the time that it would have waited: the token may be no better."""
        for channel in self._channels.values():
            if channel.stage is _Stage.IDLE and channel.patient_until <= now < channel.due:
                channel.patient_until, channel.due = channel.due, now

    def _beat(self, now: float) -> list[Action]:
        if now < self._heartbeat_at:
            return []
        self._heartbeat_at = now + self._timing.heartbeat
        if self._silent_since is None:
            self._silent_since = now
        return [Send({"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": self._ref()})]

    def _renewal(self, now: float) -> list[Action]:
        if self._renewing or self._token_due is None or now < self._token_due:
            return []
        self._renewing = True
        return [Renew()]

    def _overdue(self, now: float) -> list[Action]:
        """Joins that are not answered. The first time they may still be: while the database is away the
        server keeps them waiting. The second time it is asked anew."""
        actions: list[Action] = []
        for channel in self._channels.values():
            if channel.stage is not _Stage.JOINING or now < channel.due:
                continue
            if channel.late:
                actions += self._dropped(now, channel, "the subscription is not confirmed", leave=True)
            else:
                channel.late, channel.due = True, now + 2 * self._timing.join
                actions.append(Down(channel.source, "the subscription is not confirmed yet"))
        return actions

    def _joins(self, now: float) -> list[Action]:
        room = _JOINS_AT_ONCE - self._joining()
        due = [c for c in self._channels.values() if c.stage is _Stage.IDLE and c.due <= now]
        return [self._join(now, channel) for channel in due[: max(room, 0)]]

    def _join(self, now: float, channel: _Channel) -> Action:
        channel.join_ref = self._ref()
        channel.topic = channel.source.channel(int(channel.join_ref))
        channel.stage, channel.due, channel.late = _Stage.JOINING, now + self._timing.join, False
        self._by_topic[channel.topic] = channel
        return self._push(
            channel,
            "phx_join",
            {"config": channel.source.config(), "access_token": self._token},
            ref=channel.join_ref,
        )

    def _joining(self) -> int:
        return sum(channel.stage is _Stage.JOINING for channel in self._channels.values())

    def _controlled(self, now: float, channel: _Channel, frame: Frame, payload: Frame) -> list[Action]:
        """A frame about the channel itself."""
        match frame.get("event"):
            case "system":
                return self._told(now, channel, payload)
            case _ if str(frame.get("ref")) != channel.join_ref:
                # Of an earlier channel of this topic, which the server closes after it has answered the new
                # join; or the reply to something that is not waited for.
                return []
            case "phx_reply":
                return self._answered(now, channel, payload)
            case "phx_close" | "phx_error":
                return self._dropped(now, channel, "the server ended the channel", leave=False)
        return []

    def _answered(self, now: float, channel: _Channel, payload: Frame) -> list[Action]:
        """The join has its reply."""
        if payload.get("status") != "ok":
            response = payload.get("response")
            reason = response.get("reason") if isinstance(response, dict) else None
            return self._dropped(now, channel, f"the server refused: {reason or response}", leave=False)
        # Changes flow once the server says so in a message of its own.
        return self._up(now, channel) if channel.source.is_broadcast else []

    def _told(self, now: float, channel: _Channel, payload: Frame) -> list[Action]:
        """The server speaks about the channel: that changes flow, or what is wrong."""
        if payload.get("status") != "ok":
            return self._dropped(now, channel, str(payload.get("message")), leave=True)
        return self._up(now, channel) if payload.get("extension") == "postgres_changes" else []

    def _up(self, now: float, channel: _Channel) -> list[Action]:
        channel.stage, channel.late = _Stage.UP, False
        channel.patience.came_up(now)
        self._patience.came_up(now)
        return [Up(channel.source)]

    def _dropped(self, now: float, channel: _Channel, reason: str, *, leave: bool) -> list[Action]:
        actions = self._left(channel) if leave else []
        self._by_topic.pop(channel.topic, None)
        channel.stage, channel.due, channel.late = _Stage.IDLE, now + channel.patience.delay(now), False
        return [*actions, Down(channel.source, reason)]

    def _left(self, channel: _Channel) -> list[Action]:
        if self._by_topic.pop(channel.topic, None) is None or self._socket is not _Socket.OPEN:
            return []
        return [self._push(channel, "phx_leave", {})]

    def _push(self, channel: _Channel, event: str, payload: Frame, ref: str | None = None) -> Send:
        return Send(
            {
                "topic": channel.topic,
                "event": event,
                "payload": payload,
                "ref": ref or self._ref(),
                "join_ref": channel.join_ref,
            }
        )

    def _set_token(self, now: float, token: str, due_in: float | None) -> None:
        self._token = token
        # Should a provider's tokens be due at once, the server is told of each only so often.
        self._token_due = None if due_in is None else now + max(due_in, self._timing.first_retry)

    def _patience_of(self, longest: float) -> _Patience:
        return _Patience(self._timing.first_retry, longest, self._chance)

    def _ref(self) -> str:
        self._refs += 1
        return str(self._refs)


def _changed(data: Any) -> Frame | None:
    """The row in a change, unless it is cut short or may not be seen."""
    return _object(data.get("record")) if isinstance(data, dict) and not data.get("errors") else None


def _object(value: Any) -> Frame | None:
    return value if isinstance(value, dict) else None
