"""Sockets without a network: what is sent to them is collected."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from localbase.keys import Keys
from localbase.realtime.protocol import Message, Outgoing, Version
from localbase.realtime.rooms import Rooms
from localbase.realtime.session import Effect, Session
from localbase.tokens import sign

NOW = time.time()


@dataclass
class Peer:
    """A client's end of a session."""

    session: Session
    received: list[Outgoing]
    now: float = NOW
    _refs: int = field(default=0)

    def push(
        self, topic: str, event: str, payload: Any = None, *, join_ref: str | None = "1"
    ) -> list[Effect]:
        """Send with a new reference."""
        self._refs += 1
        ref = f"r{self._refs}"
        message = Message(topic, event, {} if payload is None else payload, ref, join_ref)
        return list(self.session.receive(message, self.now))

    def join(self, topic: str, *, join_ref: str = "1", **payload: Any) -> list[Effect]:
        return self.push(topic, "phx_join", {"config": {}} | payload, join_ref=join_ref)

    def take(self) -> list[tuple[str, Any]]:
        """Event and payload of what came since the last look."""
        taken = [(message.event, message.payload) for message in self.received]
        self.received.clear()
        return taken


@pytest.fixture
def keys() -> Keys:
    return Keys.local("a secret of tests, with forty characters")


@pytest.fixture
def token(keys: Keys) -> Callable[..., str]:
    """Mints a token; `expires` counts from the tests' present."""

    def mint(expires: float = 3600, secret: str = keys.jwt_secret, **claims: Any) -> str:
        return sign({"role": "authenticated", "exp": NOW + expires} | claims, secret)

    return mint


@pytest.fixture
def rooms() -> Rooms:
    return Rooms()


@pytest.fixture
def connect(keys: Keys, rooms: Rooms) -> Callable[..., Peer]:
    """Opens a session; all of a test's sessions share their rooms."""

    def open_session(apikey: str | None = None, version: Version = Version.V2) -> Peer:
        received: list[Outgoing] = []
        return Peer(Session(version, keys, apikey or keys.anon_key, rooms, received.append), received)

    return open_session


@pytest.fixture
def peer(connect: Callable[..., Peer]) -> Peer:
    return connect()
