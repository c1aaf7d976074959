"""What a subscription is about, and where its events come from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, Self
from uuid import UUID

from reelbase.realtime.feeds import Feeds
from reelbase.realtime.state import ConnectionState
from reelbase.realtime.stream import Carry
from reelbase.realtime.subscription_info import SubscriptionKind
from reelbase.realtime.system_events import SystemEventStream, SystemTail
from reelbase.realtime.watch import Subject, Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a subscription follows, and which of these events it wants."""

    kind: SubscriptionKind
    subject: Subject | SystemTail
    wants: Callable[[Any], bool] = lambda _: True

    @property
    def job_id(self) -> UUID | None:
        return self.subject.job_id if isinstance(self.subject, Watch) else None


class Stream(Protocol):
    @property
    def connection_state(self) -> ConnectionState: ...

    async def start(self) -> None: ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Any: ...

    async def aclose(self) -> None: ...


class Streams:
    """Opens what subscriptions follow."""

    def __init__(self, feeds: Feeds, carry: Carry) -> None:
        self._feeds = feeds
        self._carry = carry

    def open(self, topic: Topic) -> Stream:
        """A stream; nothing connects before it is started."""
        if isinstance(topic.subject, SystemTail):
            return SystemEventStream(topic.subject, self._carry, lambda: self._feeds.nudges("system_events"))
        return self._feeds.open(topic.subject)
