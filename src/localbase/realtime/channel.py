"""One topic joined by one socket."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from localbase.realtime.identity import Identity
from localbase.realtime.joins import PREFIX, Join
from localbase.realtime.limits import PRESENCE_CALLS, PRESENCE_WINDOW_S, Rate
from localbase.realtime.protocol import Message, Outgoing

Send = Callable[[Outgoing], None]

_binding_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the policies on realtime.messages let a private channel do; a public one may do everything."""

    read: bool = True
    write: bool = True
    present: bool = True


@dataclass(eq=False, slots=True)
class Channel:
    """Compared by identity: a topic joined again is another channel."""

    topic: str
    join_ref: Any
    join: Join
    identity: Identity
    send: Send
    permissions: Permissions = Permissions()
    binding_ids: list[int] = field(default_factory=list)
    presence_key: str = ""
    open: bool = False
    greeted: bool = False
    presence_rate: Rate = field(default_factory=lambda: Rate(PRESENCE_CALLS, PRESENCE_WINDOW_S))

    def __post_init__(self) -> None:
        self.binding_ids = [next(_binding_ids) for _ in self.join.bindings]
        self.presence_key = self.join.presence_key or str(uuid.uuid4())

    @property
    def name(self) -> str:
        return self.topic.removeprefix(PREFIX)

    @property
    def room(self) -> tuple[str, bool]:
        return self.topic, self.join.private

    def join_response(self) -> dict[str, Any]:
        pairs = zip(self.binding_ids, self.join.bindings, strict=True)
        return {"postgres_changes": [{"id": identifier, **params} for identifier, params in pairs]}

    def push(self, event: str, payload: Any) -> None:
        """Send an event that belongs to this very join."""
        self.send(Message(self.topic, event, payload, join_ref=self.join_ref))

    def end(self, event: str, payload: Any) -> None:
        self.send(Message(self.topic, event, payload, ref=self.join_ref, join_ref=self.join_ref))

    def system(self, message: str, *, status: str = "ok", extension: str = "system") -> None:
        payload = {"message": message, "status": status, "extension": extension, "channel": self.name}
        self.push("system", payload)
