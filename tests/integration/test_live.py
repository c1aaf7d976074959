"""The live connection, when Realtime is there but will not have us."""

import pytest
from aiohttp import web

from proxy import serving
from reelbase.models import JobEvent
from reelbase.realtime.clock import Clock
from reelbase.realtime.endpoint import RealtimeEndpoint
from reelbase.realtime.hub import Hub
from reelbase.realtime.source import Source
from support import eventually


class Notes:
    """A listener that remembers what it was told."""

    def __init__(self) -> None:
        self.downs: list[str] = []
        self.ups = 0
        self.rows: list[JobEvent | None] = []

    def up(self) -> None:
        self.ups += 1

    def down(self, reason: str) -> None:
        self.downs.append(reason)

    def row(self, event: JobEvent | None) -> None:
        self.rows.append(event)


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_refused_socket__is_told_and_tried_again(status: int) -> None:
    attempts = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        attempts.append(request.path)
        return web.Response(status=status)

    async with serving(refuse) as url:
        hub, notes = Hub(RealtimeEndpoint(f"{url}/realtime/v1", "key"), Clock()), Notes()
        hub.listen(Source(), notes)

        await eventually(lambda: has_several(attempts))

        await hub.close()
    assert attempts[0] == "/realtime/v1/websocket"
    assert notes.ups == 0
    assert all(str(status) in reason for reason in notes.downs)


def has_several(attempts: list[str]) -> None:
    assert len(attempts) > 1
