"""The live connection, when Realtime is there but will not have us."""

import asyncio

import pytest
from aiohttp import web

from reelbase.realtime.channel import RealtimeEndpoint
from reelbase.realtime.live import LiveRows
from support import eventually


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_refused_socket__means_polling_and_further_attempts(status: int) -> None:
    attempts = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        attempts.append(request.path)
        return web.Response(status=status)

    application = web.Application()
    application.router.add_get("/realtime/v1/websocket", refuse)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = RealtimeEndpoint(f"http://127.0.0.1:{runner.addresses[0][1]}/realtime/v1", "key")
    try:
        async with LiveRows(endpoint, "job_id=eq.1", live_beat=60, polling_beat=0.05) as live:
            async with asyncio.timeout(10):
                assert await live.next() is None
                assert await live.next() is None
            await eventually(lambda: has_several(attempts))
            assert not live.is_live
    finally:
        await runner.cleanup()


def has_several(attempts: list[str]) -> None:
    assert len(attempts) > 1
