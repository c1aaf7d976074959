"""Many sessions at once: those that cannot disturb each other, since most of their time is waiting."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import httpx

from conformance.realtime.player import Player
from conformance.realtime.report import Finding
from conformance.realtime.session import Session
from conformance.realtime.stage import Stage

_HTTP_TIMEOUT_S = 30
_ALONE = "solo"


class Place(NamedTuple):
    """Which stage a session is played on. The versions of the protocol keep to stages of their own."""

    version: str
    # Sessions that see, or change, what belongs to other groups.
    alone: bool = False


BREAKABLE = Place("any")


def place(session: Session) -> Place:
    return BREAKABLE if session.requires else Place(session.version, session.group == _ALONE)


class Programme:
    """Plays in the background. The sessions of one group and place come one after the other, in order."""

    def __init__(self, stages: Mapping[Place, Stage]) -> None:
        self._stages = stages
        self._http = httpx.AsyncClient(timeout=_HTTP_TIMEOUT_S, trust_env=False)
        self._turns: defaultdict[tuple[Place, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._played: dict[str, asyncio.Task[list[Finding]]] = {}

    async def start(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            work = self._play(session)
            self._played[session.id] = asyncio.create_task(work, name=f"conformance-{session.id}")

    async def findings(self, session: Session) -> list[Finding]:
        return await self._played[session.id]

    async def stop(self) -> None:
        for task in self._played.values():
            task.cancel()
        await asyncio.gather(*self._played.values(), return_exceptions=True)
        await self._http.aclose()

    async def _play(self, session: Session) -> list[Finding]:
        where = place(session)
        async with self._turns[where, session.group]:
            return await Player(session, self._stages[where], self._http).play()
