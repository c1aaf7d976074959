"""What is to be seen of calls: log records, correlation ids, hooks, spans and metrics."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reelbase import AsyncReelbase, CallRefused, CallReport, NotFound, Reelbase, ServerFault, correlation
from reelbase.execution.call import Call
from support import AnyClient, Target, done, eventually


def records(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    return [
        (record.levelname, record.__dict__["reelbase"])
        for record in caplog.records
        if record.name == "reelbase.calls"
    ]


@asynccontextmanager
async def serving(*answers: web.Response) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """A server that gives these answers in turn, and keeps the requests."""
    requests: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request)
        given = answers[min(len(requests), len(answers)) - 1]
        return web.Response(status=given.status, text=given.text, content_type="application/json")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", requests
    finally:
        await runner.cleanup()


# Log records


async def test_calls__are_logged_with_what_machines_read(
    client: AnyClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "reelbase.calls")

    await done(client.jobs.create("mp4", 64, 64, metadata={"title": "Confidential"}))
    with pytest.raises(NotFound) as caught:
        await done(client.jobs.get(uuid4()))

    (first_level, made), (second_level, refused) = records(caplog)
    assert (first_level, made["function"], made["outcome"]) == ("DEBUG", "create_job", "ok")
    assert (made["retries"], made["slow"], made["duration_ms"] > 0) == (0, False, True)
    assert (second_level, refused["function"], refused["outcome"]) == ("INFO", "get_job", "not_found")
    assert made["correlation_id"] != refused["correlation_id"] == caught.value.correlation_id
    assert "Confidential" not in caplog.text


@pytest.mark.parametrize("kind", [Reelbase, AsyncReelbase])
async def test_slow_call__is_a_warning(target: Target, kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    client = kind(target.url, target.service_role_key, slow_call=0)

    await done(client.security.user_role())

    assert [(level, record["slow"]) for level, record in records(caplog)] == [("WARNING", True)]
    assert "slow: user_role: ok after" in caplog.text
    await done(client.aclose() if isinstance(client, AsyncReelbase) else client.close())


def test_slow_call__is_set_by_the_environment(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", target.url)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", target.service_role_key)
    monkeypatch.setenv("REELBASE_SLOW_CALL", "0.25")

    with Reelbase.from_env() as client:
        assert client._telemetry.slow_call == 0.25


# Correlation ids


async def test_correlation_id__is_that_of_the_block_in_every_attempt() -> None:
    async with (
        serving(web.Response(status=503, text="{}"), web.Response(text='"anon"')) as (url, requests),
        AsyncReelbase(url, "key") as client,
    ):
        reports: list[CallReport] = []
        client.hooks.after(reports.append)
        assert client.correlation_id is None
        with correlation("request-7") as given:
            assert (client.correlation_id, given) == ("request-7", "request-7")
            await client.security.user_role()
        await client.security.user_role()

    sent = [request.headers["x-correlation-id"] for request in requests]
    assert sent[:2] == ["request-7", "request-7"]
    assert sent[2] not in {"request-7", ""}
    assert [(report.retries, report.correlation_id) for report in reports] == [(1, "request-7"), (0, sent[2])]


async def test_correlation_ids__of_concurrent_tasks_do_not_mix() -> None:
    async with (
        serving(web.Response(text='"anon"')) as (url, requests),
        AsyncReelbase(url, "key") as client,
    ):

        async def call(name: str) -> None:
            with correlation(name):
                await client.security.user_role()
                await asyncio.sleep(0)
                await client.security.user_role()

        await asyncio.gather(call("a"), call("b"))

    assert sorted(request.headers["x-correlation-id"] for request in requests) == ["a", "a", "b", "b"]


@pytest.mark.local_stack
async def test_database__sees_the_correlation_id(own_target: Target) -> None:
    with own_target.connect() as session:
        session.execute(
            "create function public.seen() returns text language sql set search_path = '' as"
            " $$ select current_setting('request.headers')::json ->> 'x-correlation-id' $$;"
            " grant execute on function public.seen to service_role; notify pgrst, 'reload schema'"
        )

    async with own_target.service() as client:

        async def seen() -> None:
            with correlation("request-8"):
                try:
                    answer = await client._carry(Call("seen", {}, str, reads=("seen",)))
                except CallRefused as error:
                    # The Data API has not read the catalogue again yet.
                    raise AssertionError from error
            assert answer == "request-8"

        await eventually(seen)


def test_blocks__nest_and_make_ids_of_their_own(target: Target) -> None:
    client = Reelbase(target.url, target.anon_key)
    with correlation() as outer, correlation() as inner:
        assert (len(inner), client.correlation_id) == (32, inner)
        assert inner != outer
    assert client.correlation_id is None


@pytest.mark.parametrize("bad", ["", "two words", "line\nbreak", "é", "x" * 129])
def test_correlation_id__is_fit_for_a_header(bad: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"), correlation(bad):
        pass


# Hooks


async def test_hooks__are_told_before_after_and_of_errors(client: AnyClient) -> None:
    told: list[tuple[str, str, str | None]] = []
    client.hooks.before(lambda report: told.append(("before", report.function, report.outcome)))

    @client.hooks.after
    def after(report: CallReport) -> None:
        told.append(("after", report.function, report.outcome))
        assert report.duration is not None

    client.hooks.on_error(lambda report: told.append(("error", report.function, type(report.error).__name__)))

    await done(client.security.user_role())
    with pytest.raises(NotFound):
        await done(client.jobs.get(uuid4()))

    assert told == [
        ("before", "user_role", None),
        ("after", "user_role", "ok"),
        ("before", "get_job", None),
        ("error", "get_job", "NotFound"),
        ("after", "get_job", "not_found"),
    ]


async def test_failing_hook__is_logged_and_breaks_nothing(
    client: AnyClient, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(_: CallReport) -> None:
        raise LookupError("No such dashboard.")

    for register in (client.hooks.before, client.hooks.after, client.hooks.on_error):
        register(failing)

    await done(client.security.user_role())
    with pytest.raises(NotFound):
        await done(client.jobs.get(uuid4()))

    assert [record.message.split("<")[0] for record in caplog.records].count("The hook ") == 5


async def test_on_call__hears_of_guests_too(target: Target) -> None:
    functions: list[str] = []
    async with AsyncReelbase(
        target.url, target.service_role_key, on_call=lambda report: functions.append(report.function)
    ) as client:
        await client.as_user(target.token(sub=str(uuid4()))).security.is_admin()

    assert functions == ["is_admin"]


def test_hook__is_no_coroutine_function(target: Target) -> None:
    async def later(report: CallReport) -> None:
        pass

    with Reelbase(target.url, "key") as client, pytest.raises(TypeError, match="ordinary function"):
        client.hooks.after(later)


# OpenTelemetry


_exporter, _reader = InMemorySpanExporter(), InMemoryMetricReader()


@pytest.fixture(scope="module", autouse=True)
def _providers() -> None:
    # OpenTelemetry takes providers once in the life of a process.
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(_exporter))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([_reader], shutdown_on_exit=False))


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    _exporter.clear()
    yield _exporter
    _exporter.clear()


async def test_call__is_a_span_of_what_surrounds_it(
    client: AnyClient, target: Target, spans: InMemorySpanExporter
) -> None:
    with trace.get_tracer("test").start_as_current_span("render"):
        await done(client.jobs.create("mp4", 64, 64, user_agent="Confidential"))

    call, outer = spans.get_finished_spans()
    host, port = target.url.removeprefix("http://").split(":")
    assert call.name == "create_job"
    assert call.kind is trace.SpanKind.CLIENT
    assert call.parent is not None
    assert call.parent.span_id == outer.context.span_id
    assert attributes(call) == {
        "db.system.name": "postgresql",
        "db.operation.name": "CALL",
        "db.stored_procedure.name": "create_job",
        "server.address": host,
        "server.port": int(port),
        "reelbase.retries": 0,
    }


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_failed_call__is_a_failed_span(client: AnyClient, spans: InMemorySpanExporter) -> None:
    with pytest.raises(NotFound):
        await done(client.jobs.get(uuid4()))

    (call,) = spans.get_finished_spans()
    assert call.status.status_code is trace.StatusCode.ERROR
    assert attributes(call)["error.type"] == "not_found"
    assert attributes(call)["db.response.status_code"] == "PT404"
    assert not trace.get_current_span().get_span_context().is_valid


async def test_retries__are_counted_on_the_span(spans: InMemorySpanExporter) -> None:
    busy = web.Response(status=503, text="{}")
    good = web.Response(text='"anon"')
    async with serving(busy, busy, good) as (url, _), AsyncReelbase(url, "key") as client:
        await client.security.user_role()
    async with serving(web.Response(status=500, text="{}")) as (url, _), AsyncReelbase(url, "key") as client:
        with pytest.raises(ServerFault):
            await client.security.user_role()

    first, second = spans.get_finished_spans()
    assert attributes(first)["reelbase.retries"] == 2
    assert attributes(second)["error.type"] == "ServerFault"


async def test_durations__are_measured(client: AnyClient) -> None:
    await done(client.analytics.system_stats())

    data = _reader.get_metrics_data()
    assert data is not None
    points = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (metric.name, metric.unit) == ("db.client.operation.duration", "s")
        for point in metric.data.data_points
    ]
    assert "get_system_stats" in [
        dict(point.attributes or {})["db.stored_procedure.name"] for point in points
    ]


def test_without_opentelemetry__nothing_is_imported_and_all_works(target: Target) -> None:
    program = f"""
import sys
sys.modules["opentelemetry"] = None
import importlib.machinery, reelbase
with reelbase.Reelbase({target.url!r}, {target.anon_key!r}) as client:
    assert client._telemetry.spans is None
    print(client.security.user_role().value)
assert not [name for name in sys.modules if name.startswith("opentelemetry.")]
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (run.stdout, run.returncode) == ("anon\n", 0), run.stderr
