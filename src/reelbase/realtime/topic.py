"""What a subscription is about, and where its events come from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self
from uuid import UUID

from reelbase.execution.call import Call
from reelbase.realtime.feed import Carry
from reelbase.realtime.state import ConnectionState
from reelbase.realtime.subscription_info import SubscriptionKind
from reelbase.realtime.system_events import OpenNudges, SystemEventStream, SystemTail
from reelbase.realtime.watch import Tail, Watch

What = Watch | Tail | SystemTail


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What a subscription follows, and which of these events it wants."""

    kind: SubscriptionKind
    what: What
    wants: Callable[[Any], bool] = lambda _: True

    @property
    def job_id(self) -> UUID | None:
        return self.what.job_id if isinstance(self.what, Watch) else None


class Stream(Protocol):
    @property
    def connection_state(self) -> ConnectionState: ...

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Any: ...

    async def aclose(self) -> None: ...


class Streams:
    """Opens what subscriptions follow."""

    def __init__(
        self, open_: Callable[[Watch | Tail], Stream], open_nudges: OpenNudges, carry: Carry
    ) -> None:
        self._open = open_
        self._open_nudges = open_nudges
        self._carry = carry

    async def place(self, what: What) -> What:
        """The same, with its place in the log where that is `now`."""
        match what:
            case Tail(after="now"):
                return replace(what, after=await self._cursor("get_event_cursor"))
            case SystemTail(after="now"):
                return replace(what, after=await self._cursor("get_system_event_cursor"))
            case _:
                return what

    def open(self, what: What) -> Stream:
        if isinstance(what, SystemTail):
            return SystemEventStream(what, self._carry, self._open_nudges)
        return self._open(what)

    async def _cursor(self, function: str) -> str:
        cursor: str = await self._carry(Call(function, {}, str, reads=("events",)))
        return cursor
