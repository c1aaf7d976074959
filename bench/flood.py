"""How many events a second one listener sustains, beside a bare websocket and beside the realtime package.

The server is a process of its own that answers as Realtime does, and then sends rows of job_events faster
than any database would.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from reelbase import AsyncReelbase, Job, JobStatus

EVENTS = 50_000

Listen = Callable[[str, UUID, "Tally"], Awaitable[None]]


class Tally:
    """Counts events; its times are those from the first to the last."""

    def __init__(self) -> None:
        self.count = 0
        self.began = self.ended = (0.0, 0.0)
        self.done = asyncio.Event()

    def add(self, _: Any = None) -> None:
        self.count += 1
        if self.count == 1:
            self.began = time.perf_counter(), time.process_time()
        elif self.count == EVENTS:
            self.ended = time.perf_counter(), time.process_time()
            self.done.set()


async def flood(settings: dict[str, str]) -> None:
    """Events a second, and processor time for each."""
    async with AsyncReelbase(settings["API_URL"], settings["SERVICE_ROLE_KEY"]) as client:
        job = await client.jobs.create("mp4", 640, 360)
        job = await client.jobs.update_status(job.id, JobStatus.PROCESSING)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(theirs, job.model_dump_json(), str(job.id)), daemon=True
    )
    server.start()
    try:
        url = await asyncio.to_thread(ours.recv)
        print(f"\n{EVENTS:,} events as fast as one listener takes them\n")
        print(f"{'':32} {'events/s':>10} {'CPU':>12}")
        for name, listen in LISTENERS:
            tally = Tally()
            task = asyncio.create_task(listen(url, job.id, tally))
            done = asyncio.create_task(tally.done.wait())
            await asyncio.wait({task, done}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            wall, cpu = (after - before for before, after in zip(tally.began, tally.ended, strict=True))
            print(f"{name:32} {EVENTS / wall:10,.0f} {cpu / EVENTS * 1e6:9.1f} µs")
    finally:
        server.terminate()
        server.join()


async def bare_websocket(url: str, _: UUID, tally: Tally) -> None:
    from websockets.asyncio.client import connect  # noqa: PLC0415

    config = {"postgres_changes": [{"event": "INSERT", "schema": "public", "table": "job_events"}]}
    join = {"topic": "realtime:bench", "event": "phx_join", "payload": {"config": config}, "ref": "1"}
    async with connect(f"{url.replace('http', 'ws')}/realtime/v1/websocket") as socket:
        await socket.send(json.dumps(join))
        async for text in socket:
            if json.loads(text)["event"] == "postgres_changes":
                tally.add()


async def realtime_package(url: str, _: UUID, tally: Tally) -> None:
    from realtime import AsyncRealtimeClient, RealtimePostgresChangesListenEvent  # noqa: PLC0415

    client = AsyncRealtimeClient(f"{url}/realtime/v1", "key")
    channel = client.channel("bench")
    channel.on_postgres_changes(
        RealtimePostgresChangesListenEvent.Insert, tally.add, table="job_events", schema="public"
    )
    try:
        await channel.subscribe()
        await asyncio.Event().wait()
    finally:
        await client.close()


async def watch(url: str, job_id: UUID, tally: Tally) -> None:
    async with AsyncReelbase(url, "key") as client, client.jobs.watch(job_id) as events:
        async for event in events:
            tally.add(event)


async def stream(url: str, _: UUID, tally: Tally) -> None:
    async with AsyncReelbase(url, "key") as client, client.events.stream() as events:
        async for event in events:
            tally.add(event)


LISTENERS: tuple[tuple[str, Listen], ...] = (
    ("a websocket and json", bare_websocket),
    ("a channel of realtime 2", realtime_package),
    ("client.jobs.watch", watch),
    ("client.events.stream", stream),
)


# The server ---------------------------------------------------------------------------------


def serve(parent: Connection, job: str, job_id: str) -> None:
    """Answer the few calls of a listener, and flood who joins."""
    frames = [frame(seq, job_id) for seq in range(1, EVENTS + 1)]
    answers = {
        # As before its first event, so that each event changes it.
        "get_job": Job.model_validate_json(job).model_copy(update={"event_seq": 0}).model_dump_json(),
        "read_job_events": "[]",
        "get_event_cursor": '"here"',
        "read_events": '{"items": [], "next_cursor": "here", "more": false, "horizon": "1"}',
    }

    async def call(request: web.Request) -> web.Response:
        return web.Response(text=answers[request.match_info["name"]], content_type="application/json")

    async def join(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            given = json.loads(message.data)
            if given["event"] == "phx_join":
                await flood_channel(socket, given)
        return socket

    async def flood_channel(socket: web.WebSocketResponse, given: dict[str, Any]) -> None:
        topic = given["topic"]
        changes = [{**change, "id": 1} for change in given["payload"]["config"]["postgres_changes"]]
        reply = {"status": "ok", "response": {"postgres_changes": changes}}
        told = {"status": "ok", "extension": "postgres_changes", "message": "Subscribed", "channel": topic}
        await socket.send_json({"topic": topic, "event": "phx_reply", "payload": reply, "ref": given["ref"]})
        await socket.send_json({"topic": topic, "event": "system", "payload": told, "ref": None})
        await asyncio.sleep(0.5)
        head = f'{{"topic":"{topic}",'
        for frame_ in frames:
            await socket.send_str(head + frame_)

    async def run() -> None:
        application = web.Application()
        application.router.add_post("/rest/v1/rpc/{name}", call)
        application.router.add_get("/realtime/v1/websocket", join)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        parent.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
        await asyncio.Event().wait()

    asyncio.run(run())


def frame(seq: int, job_id: str) -> str:
    """A row of job_events as Realtime sends it, without the topic."""
    now = datetime.now(UTC).isoformat()
    record = {
        "id": seq,
        "xid": str(1000 + seq),
        "job_id": job_id,
        "user_id": str(uuid4()),
        "seq": seq,
        "type": "job.progress",
        "status": "processing",
        "is_terminal": False,
        "progress_percentage": round(seq * 99 / EVENTS, 2),
        "current_step": "encoding",
        "data": {},
        "created_at": now,
    }
    columns = [{"name": name, "type": "text"} for name in record]
    data = {
        "table": "job_events",
        "type": "INSERT",
        "record": record,
        "columns": columns,
        "errors": None,
        "schema": "public",
        "commit_timestamp": now,
    }
    payload = json.dumps({"data": data, "ids": [1]})
    return f'"event":"postgres_changes","payload":{payload},"ref":null}}'
