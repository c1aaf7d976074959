"""What the client makes of a server that is away, slow or talks nonsense."""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from psycopg import sql

from localbase.ports import claim_port
from proxy import Fault, Proxy, page, serving
from reelbase import (
    AsyncReelbase,
    AuthenticationError,
    CallRefused,
    CallTimeout,
    ConfigurationError,
    ConnectionFailed,
    InvalidArgument,
    Job,
    JobSpec,
    MetricSpec,
    RateLimited,
    Reelbase,
    ReelbaseError,
    ServerFault,
    StorageOperationSpec,
    StorageOperationType,
    UnexpectedAnswer,
    UrlAccessSpec,
)
from reelbase.execution.call import Call
from reelbase.execution.retry import RetryPolicy
from support import AnyClient, Target, text

Connect = Callable[..., AnyClient]


@pytest.fixture(params=["sync", "async"])
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    """Makes clients, once in each mode; takes their arguments."""
    async with AsyncExitStack() as stack:

        def make(url: str, key: str, **options: Any) -> AnyClient:
            if request.param == "sync":
                return stack.enter_context(Reelbase(url, key, **options))
            client = AsyncReelbase(url, key, **options)
            stack.push_async_callback(client.aclose)
            return client

        yield make


async def ask(client: AnyClient, question: Callable[[AnyClient], Any]) -> Any:
    """What the client answers; a synchronous one in a thread, so that the proxy goes on meanwhile."""
    if isinstance(client, Reelbase):
        return await asyncio.to_thread(question, client)
    return await question(client)


LOST = Fault()
BROKEN = Fault(body=3)
CUT_SHORT = Fault(body=3, then="close")
STALLED = Fault(body=3, then="silence")
BAD_GATEWAY = page("502 Bad Gateway", b"<html>Bad Gateway</html>", "content-type: text/html")
BUSY = page("503 Service Unavailable", b"", "retry-after: 0")
GARBAGE_BYTES = Fault(instead=b"\x00\x01 what?\r\n\r\n", then="close")
HALF_JSON = page("200 OK", b'{"id": "00000000', "content-type: application/json")
DEADLOCK = page("500 Internal Server Error", b'{"code": "40P01", "message": "deadlock detected"}')
TOO_MANY = page("503 Service Unavailable", b'{"code": "53300", "message": "too many clients already"}')

PASSING = {
    "lost": LOST,
    "reset in the body": BROKEN,
    "cut short": CUT_SHORT,
    "502 page": BAD_GATEWAY,
    "503": BUSY,
    "deadlock": DEADLOCK,
    "too many connections": TOO_MANY,
}
LASTING = {
    "stalled": (STALLED, CallTimeout),
    "garbage": (GARBAGE_BYTES, UnexpectedAnswer),
    "half of the JSON": (HALF_JSON, UnexpectedAnswer),
    "redirect": (page("307 Temporary Redirect", b"", "location: http://127.0.0.1:1/"), UnexpectedAnswer),
    "bad request": (page("400 Bad Request", b"no"), CallRefused),
}
passing = pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
lasting = pytest.mark.parametrize(("fault", "error"), LASTING.values(), ids=LASTING)


@pytest.fixture
async def proxy(target: Target) -> AsyncIterator[Proxy]:
    """In front of the stack that other tests use too."""
    async with Proxy(target.url) as proxy:
        yield proxy


async def test_refused_connection__says_so_and_what_to_check(connect: Connect) -> None:
    client = connect(f"http://127.0.0.1:{claim_port(0)}", "key")
    with pytest.raises(ConnectionFailed, match=r"cannot be reached \(.+\)\. Check SUPABASE_URL") as caught:
        await ask(client, lambda client: client.jobs.create("mp4", 64, 64))

    assert (caught.value.function, caught.value.retries) == ("create_job", 7)
    assert {**caught.value.arguments, "idempotency_key": None} == {
        "output_format": "mp4",
        "width": 64,
        "height": 64,
        "idempotency_key": None,
    }
    assert caught.value.__cause__ is not None


async def test_reads__are_repeated_until_the_server_is_back() -> None:
    answers = iter([503, 502, 200])

    async def recovering(_request: web.Request) -> web.StreamResponse:
        status = next(answers)
        return web.json_response({"items": [], "next_cursor": None} if status == 200 else None, status=status)

    async with serving(recovering) as url, AsyncReelbase(url, "key") as client:
        assert (await client.jobs.list()).items == ()


async def test_writes__with_an_idempotency_key_are_repeated() -> None:
    keys = []

    async def failing(request: web.Request) -> web.StreamResponse:
        keys.append((await request.json())["idempotency_key"])
        return web.Response(status=503)

    async with serving(failing) as url, AsyncReelbase(url, "key") as client:
        with pytest.raises(ServerFault) as caught:
            await client.jobs.create("mp4", 64, 64, idempotency_key="one")

    assert (keys, caught.value.retries) == (["one"] * 8, 7)


async def test_repeats__are_bounded_and_counted() -> None:
    async def failing(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "Overload."}, status=503)

    async with serving(failing) as url, AsyncReelbase(url, "key") as client:
        with pytest.raises(ServerFault, match=r"Overload\.") as caught:
            await client.jobs.list()

    assert caught.value.retries == 7


GARBAGE = [b"<html>hello</html>", b"[1, 2]", b'{"items": 3}', b"", b"1" * 5000, b"[" * 100_000, b'"\xff"']


@pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:12]))
async def test_garbage__is_an_unexpected_answer(body: bytes) -> None:
    async def garbage(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="application/json")

    async with serving(garbage) as url, AsyncReelbase(url, "key") as client:
        with pytest.raises(UnexpectedAnswer):
            await client.jobs.list()


@pytest.mark.parametrize("value", [float("nan"), "\ud800"])
async def test_argument_that_is_no_json__is_an_invalid_argument(target: Target, value: object) -> None:
    async with target.service() as client:
        with pytest.raises(InvalidArgument, match="cannot be sent as JSON"):
            await client.jobs.create("mp4", 64, 64, metadata={"value": value})


def test_argument_of_a_kind_that_is_no_json__is_an_invalid_argument_too(target: Target) -> None:
    with (
        Reelbase(target.url, target.anon_key) as client,
        pytest.raises(InvalidArgument, match="cannot be sent as JSON"),
    ):
        client.jobs.create("mp4", 64, 64, metadata={"value": object()})


@pytest.mark.local_stack
async def test_reset_while_reading__is_survived(own_target: Target) -> None:
    async with (
        Proxy(own_target.url) as proxy,
        AsyncReelbase(proxy.url, own_target.service_role_key) as client,
    ):
        await client.jobs.list()
        proxy.reset()

        assert (await client.jobs.list()).items == ()
        assert proxy.connections == 2


async def test_unknown_function__says_so(target: Target) -> None:
    async with target.service() as client:
        with pytest.raises(CallRefused, match="no_such_function") as caught:
            await client._executor.run(Call("no_such_function", {"job_id": 1}, Job))

    assert (caught.value.sqlstate, caught.value.status) == ("PGRST202", 404)


async def test_keys__do_not_show_in_errors(target: Target) -> None:
    async with AsyncReelbase(f"http://127.0.0.1:{claim_port(0)}", target.service_role_key) as client:
        with pytest.raises(ConnectionFailed) as caught:
            await client.elements.add(uuid4(), text())

    assert target.service_role_key not in f"{caught.value!r} {vars(caught.value)} {caught.value.__cause__!r}"


@passing
async def test_read__is_repeated_after_a_fault_that_passes(
    target: Target, proxy: Proxy, connect: Connect, fault: Fault
) -> None:
    client = connect(proxy.url, target.service_role_key)
    job = await ask(client, lambda client: client.jobs.create("mp4", 64, 64))
    proxy.spoil(fault, fault)

    assert (await ask(client, lambda client: client.jobs.get(job.id))).id == job.id


@passing
async def test_create__whose_answer_is_spoiled_makes_one_job(
    target: Target, proxy: Proxy, connect: Connect, fault: Fault
) -> None:
    client = connect(proxy.url, target.service_role_key)
    agent = str(uuid4())
    proxy.spoil(fault)

    job = await ask(client, lambda client: client.jobs.create("mp4", 64, 64, user_agent=agent))

    assert job.replays == 1
    with target.connect() as session:
        rows = session.execute("select id from public.jobs where user_agent = %s", (agent,)).fetchall()
    assert rows == [(job.id,)]


@lasting
async def test_create__that_fails_can_be_repeated_with_the_key_from_the_error(
    target: Target, proxy: Proxy, connect: Connect, fault: Fault, error: type[ReelbaseError]
) -> None:
    client = connect(proxy.url, target.service_role_key, timeout=3)
    agent = str(uuid4())
    proxy.spoil(fault)

    with pytest.raises(error) as caught:
        await ask(client, lambda client: client.jobs.create("mp4", 64, 64, user_agent=agent))
    assert (type(caught.value), caught.value.retries) == (error, 0)
    again = caught.value.arguments
    job = await ask(client, lambda client: client.with_timeout(10).jobs.create(**again))

    assert job.replays == 1
    with target.connect() as session:
        rows = session.execute("select id from public.jobs where user_agent = %s", (agent,)).fetchall()
    assert rows == [(job.id,)]


async def test_log_calls__whose_answer_is_lost_leave_one_row_each(
    target: Target, proxy: Proxy, connect: Connect
) -> None:
    client = connect(proxy.url, target.service_role_key)
    job = await ask(client, lambda client: client.jobs.create("mp4", 64, 64))
    bucket, metric, upload = f"b{uuid4().hex}", f"m{uuid4().hex}", StorageOperationType.UPLOAD
    calls: list[Callable[[AnyClient], Any]] = [
        lambda client: client.jobs.create_video("mp4", 64, 64, elements=[text()], user_agent=bucket),
        lambda client: client.jobs.create_many(
            [JobSpec(output_format="mp4", width=64, height=64, user_agent=bucket)] * 2
        ),
        lambda client: client.storage.log(upload, bucket, "a"),
        lambda client: client.storage.log_many(
            [StorageOperationSpec(operation=upload, bucket=bucket, key="b")] * 2
        ),
        lambda client: client.access.log(job.id, "a"),
        lambda client: client.access.log_many(
            [UrlAccessSpec(job_id=job.id, url="https://example.org/b")] * 2
        ),
        lambda client: client.metrics.record(metric, 1),
        lambda client: client.metrics.record_many([MetricSpec(metric=metric, value=Decimal(2))] * 2),
    ]
    for call in calls:
        proxy.spoil(LOST)
        await ask(client, call)

    counts = {
        "jobs": ("user_agent", bucket),
        "storage_operations": ("bucket", bucket),
        "url_access_logs": ("job_id", job.id),
        "system_metrics": ("metric", metric),
    }
    with target.connect() as session:
        for table, (column, value) in counts.items():
            query = sql.SQL("select count(*) from public.{} where {} = %s").format(
                sql.Identifier(table), sql.Identifier(column)
            )
            assert session.execute(query, (value,)).fetchone() == (3,), table


async def test_write_without_a_key__is_not_repeated(target: Target, proxy: Proxy, connect: Connect) -> None:
    client = connect(proxy.url, target.service_role_key)
    job = await ask(client, lambda client: client.jobs.create("mp4", 64, 64))
    proxy.spoil(LOST)

    with pytest.raises(ConnectionFailed) as caught:
        await ask(client, lambda client: client.elements.add(job.id, text()))

    assert caught.value.retries == 0
    details = await ask(client, lambda client: client.jobs.get_with_details(job.id))
    assert len(details.elements) == 1


async def test_retry_after__is_waited_for(connect: Connect) -> None:
    asked: list[float] = []

    async def busy(_request: web.Request) -> web.StreamResponse:
        asked.append(asyncio.get_running_loop().time())
        if len(asked) == 1:
            return web.Response(status=503, headers={"retry-after": "1"})
        return web.json_response({"items": [], "next_cursor": None})

    async with serving(busy) as url:
        await ask(connect(url, "key"), lambda client: client.jobs.list())

    # Not sooner; how much later is nobody's promise.
    assert asked[1] - asked[0] >= 1


async def test_retry_after__beyond_the_time_of_the_call_is_told_at_once(connect: Connect) -> None:
    calls = []

    async def busy(request: web.Request) -> web.StreamResponse:
        calls.append(request.path)
        return web.Response(status=429, headers={"retry-after": "3600"})

    async with serving(busy) as url:
        with pytest.raises(RateLimited) as caught:
            await ask(connect(url, "key"), lambda client: client.jobs.list())

    assert (len(calls), caught.value.retry_after, caught.value.retries) == (1, 3600, 0)


async def test_time_of_a_call__covers_its_repeats(connect: Connect) -> None:
    async def failing(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async with serving(failing) as url:
        client = connect(url, "key", timeout=0.5)
        client._executor._retry = RetryPolicy(attempts=10**9, longest_wait=0.1)
        with pytest.raises(ServerFault) as caught:
            await ask(client, lambda client: client.jobs.list())

    assert caught.value.retries > 0


async def test_time_of_a_call__can_be_set_for_one(connect: Connect) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(never) as url:
        client = connect(url, "key", timeout=60)
        with pytest.raises(CallTimeout, match=r"in time \(0\.(2|1\d*) s\)"):
            await ask(client, lambda client: client.with_timeout(0.2).jobs.list())


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 86401])
def test_time_of_a_call__is_more_than_nothing_and_at_most_a_day(seconds: float) -> None:
    with pytest.raises(ConfigurationError, match="A call cannot take"):
        Reelbase("http://127.0.0.1:1", "key", timeout=seconds)
    with pytest.raises(ConfigurationError, match="A call cannot take"):
        Reelbase("http://127.0.0.1:1", "key").with_timeout(seconds)


def test_longest_time_of_a_call__can_be_given(target: Target) -> None:
    with Reelbase(target.url, target.service_role_key, timeout=86400) as client:
        client.jobs.list(page_size=1)


async def test_token__that_is_over_is_an_authentication_error(target: Target, connect: Connect) -> None:
    token = target.token(sub=str(uuid4()), exp=int(time.time()) - 60)
    client = connect(target.url, target.anon_key, access_token=token)

    with pytest.raises(AuthenticationError) as caught:
        await ask(client, lambda client: client.jobs.list())

    assert (caught.value.status, caught.value.retries) == (401, 0)


@pytest.mark.parametrize("key", ["wrong", "sb_secret_wrong", "a.b.c"])
async def test_wrong_key__is_an_authentication_error(target: Target, connect: Connect, key: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        await ask(connect(target.url, key), lambda client: client.jobs.list())

    assert (caught.value.status, caught.value.retries) == (401, 0)


@pytest.mark.parametrize(("url", "key"), [("ftp://x", "key"), ("no address", "key"), ("http://[", "key")])
async def test_address__that_is_none_is_a_configuration_error(connect: Connect, url: str, key: str) -> None:
    with pytest.raises(ConfigurationError, match="SUPABASE_URL"):
        await ask(connect(url, key), lambda client: client.jobs.list())


async def test_key__that_cannot_be_sent_is_a_configuration_error_that_does_not_show_it(
    connect: Connect,
) -> None:
    key = f"{uuid4().hex}\n"
    with pytest.raises(ConfigurationError) as caught:
        await ask(connect("http://127.0.0.1:1", key), lambda client: client.jobs.list())

    assert key.strip() not in "".join(traceback.format_exception(caught.value))


async def test_redirect__is_not_followed(connect: Connect) -> None:
    asked = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with serving(elsewhere) as url:
        with pytest.raises(UnexpectedAnswer, match="HTTP 307"):
            await ask(connect(url, "key"), lambda client: client.jobs.list())

    assert asked == ["/rest/v1/rpc/list_jobs"]


async def test_cookies__are_not_kept(connect: Connect) -> None:
    cookies = []

    async def setting(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("cookie"))
        return web.json_response({"items": [], "next_cursor": None}, headers={"set-cookie": "a=b; path=/"})

    async with serving(setting) as url:
        client = connect(url, "key")
        for _ in range(2):
            await ask(client, lambda client: client.jobs.list())

    assert cookies == [None, None]


async def test_proxy__of_the_environment_is_used(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def forwarding(request: web.Request) -> web.StreamResponse:
        asked.append(request.raw_path)
        return web.json_response({"items": [], "next_cursor": None})

    async with serving(forwarding) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        await ask(connect("http://reelbase.invalid", "key"), lambda client: client.jobs.list())

    assert asked == ["http://reelbase.invalid/rest/v1/rpc/list_jobs"]


async def test_proxy__that_is_none_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1")
    async with AsyncReelbase("http://reelbase.invalid", "key") as client:
        with pytest.raises(ConfigurationError, match=r"socks5.*HTTP_PROXY"):
            await client.jobs.list()
