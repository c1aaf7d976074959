"""More than anybody should ask of a stack, which runs in a process of its own here."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import httpx
import psutil
import pytest
from websockets.asyncio.client import connect

from integration.localbase.projects import Project, make_project
from support import eventually

pytestmark = pytest.mark.local_stack

ROWS = 1_000_000
CONFIG = f"[api]\nmax_rows = {ROWS}\n"
MIGRATION = f"""
grant all on public.notes to service_role;
create table public.many as select n as id, 'a row of many' as body from generate_series(1, {ROWS}) as n;
grant select on public.many to service_role;
create function public.size_of(body text) returns int language sql immutable as 'select length(body)';
"""  # noqa: S608  no value of anybody's
LIMIT = 10 * 1024 * 1024
JOIN = ["1", "1", "realtime:room", "phx_join", {"config": {}}]
DEADLINE_S = 20


@dataclass(frozen=True, slots=True)
class Target:
    """A running stack."""

    project: Project
    status: dict[str, str]

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.project.pid())

    @property
    def headers(self) -> dict[str, str]:
        return {"apikey": self.status["SECRET_KEY"]}

    @property
    def socket_url(self) -> str:
        base = self.status["API_URL"].replace("http:", "ws:")
        return f"{base}/realtime/v1/websocket?vsn=2.0.0&apikey={self.status['SECRET_KEY']}"

    def rest(self) -> httpx.AsyncClient:
        url = f"{self.status['API_URL']}/rest/v1/"
        return httpx.AsyncClient(base_url=url, headers=self.headers, timeout=DEADLINE_S)

    async def broadcast(self, payload: Any) -> None:
        url = f"{self.status['API_URL']}/realtime/v1/api/broadcast"
        messages = [{"topic": "room", "event": "said", "payload": payload}]
        async with httpx.AsyncClient(headers=self.headers) as http:
            assert (await http.post(url, json={"messages": messages})).status_code == 202


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with TemporaryDirectory(prefix="test-localbase-") as folder:
        Path(folder).chmod(0o755)
        project = make_project(Path(folder) / "demo", Path(folder))
        (project.workdir / "supabase" / "config.toml").write_text(CONFIG)
        project.add_migration("20250102000000_many.sql", MIGRATION)
        try:
            yield Target(project, project.start("--ephemeral"))
        finally:
            project.run("stop")


@pytest.fixture
async def rest(target: Target) -> AsyncIterator[httpx.AsyncClient]:
    async with target.rest() as client:
        yield client


async def test_million_rows__memory_is_bounded_and_others_are_served(
    target: Target, rest: httpx.AsyncClient
) -> None:
    process = target.process
    idle = peak = process.memory_info().rss
    for _ in range(3):
        answered = 0
        reading = asyncio.create_task(rest.get("many"))
        while not reading.done():
            assert (await rest.post("rpc/hello")).json() == "hello; world"
            answered += 1
            peak = max(peak, process.memory_info().rss)
        content = (await reading).content
        assert content.count(b'{"id":') == ROWS
        assert answered > 1

    # The answer stands in memory more than once, and no more of it with each that was given.
    assert peak - idle < 6 * len(content)


async def test_body_below_the_limit_is_accepted(rest: httpx.AsyncClient) -> None:
    body = "x" * (LIMIT - 100)

    response = await rest.post("rpc/size_of", json={"body": body})

    assert (response.status_code, response.json()) == (200, len(body))


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
async def test_body_above_the_limit_is_refused(rest: httpx.AsyncClient, chunked: bool) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 1024 * 1024

    content = chunks() if chunked else b" " * (LIMIT + 1)
    response = await rest.post("rpc/size_of", content=content, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()) == (413, {"message": "Request size limit exceeded"})
    assert (await rest.post("rpc/hello")).status_code == 200


async def test_five_hundred_sockets_hear_a_broadcast(target: Target) -> None:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        )

        async def member() -> aiohttp.ClientWebSocketResponse:
            socket = await stack.enter_async_context(session.ws_connect(target.socket_url))
            await socket.send_json(JOIN)
            assert (await socket.receive_json(timeout=DEADLINE_S))[4]["status"] == "ok"
            return socket

        members = await asyncio.gather(*(member() for _ in range(500)))
        await target.broadcast({"n": 1})
        heard = await asyncio.gather(*(socket.receive_json(timeout=DEADLINE_S) for socket in members))

    assert [frame[4]["payload"] for frame in heard] == [{"n": 1}] * 500


async def test_client_that_never_reads_is_cut_off(target: Target) -> None:
    process, payload = target.process, {"text": "x" * 1_000_000}
    async with (
        # It takes one frame from the network and leaves the others there.
        connect(target.socket_url, max_queue=1, max_size=None, close_timeout=0) as deaf,
        connect(target.socket_url, max_queue=None, max_size=None) as reader,
    ):
        for socket in (deaf, reader):
            await socket.send(json.dumps(JOIN))
        assert json.loads(await reader.recv())[4]["status"] == "ok"
        for _ in range(40):
            await target.broadcast(payload)
            assert json.loads(await reader.recv())[4]["payload"] == payload

        await eventually(lambda: _assert_cut(process, deaf.local_address[1]))
        _assert_served(process, reader.local_address[1])


def _peers(process: psutil.Process) -> set[int]:
    """The ports of those who are connected."""
    return {found.raddr.port for found in process.net_connections("tcp") if found.raddr}


def _assert_cut(process: psutil.Process, port: int) -> None:
    assert port not in _peers(process)


def _assert_served(process: psutil.Process, port: int) -> None:
    assert port in _peers(process)
