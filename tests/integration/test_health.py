"""A checkup on the real stack, whole and with parts away. Verdicts on times are forced by thresholds."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from localbase.stack import Stack, StackOptions
from proxy import Proxy
from reelbase import (
    AsyncReelbase,
    ConnectionFailed,
    HealthCheckName,
    HealthLimits,
    HealthReport,
    HealthStatus,
    HealthThresholds,
    Reelbase,
    SchemaProblem,
    UserRole,
)
from reelbase.realtime.endpoint import RealtimeEndpoint
from support import AnyClient, Target, done

ROOT = Path(__file__).parents[2]
NEVER = HealthLimits(degraded=1e12, unhealthy=1e12)
AT_ONCE = HealthLimits(degraded=0, unhealthy=0)
PATIENT = HealthThresholds.model_validate(
    {name: NEVER for name, field in HealthThresholds.model_fields.items() if field.annotation is HealthLimits}
)
BACKENDS_ONLY = {"write", "queries", "errors", "disk", "replication", "event_log", "queue"}


def patient(**limits: HealthLimits) -> HealthThresholds:
    """Thresholds that nothing crosses but what is given."""
    return PATIENT.model_copy(update=limits)


def statuses(report: HealthReport) -> dict[str, str]:
    return {str(check.name): str(check.status) for check in report.checks}


@pytest.fixture(params=["sync", "async"])
async def own_client(request: pytest.FixtureRequest, own_target: Target) -> AsyncIterator[AnyClient]:
    """A backend's client of a database of its own, once in each mode."""
    if request.param == "async":
        async with own_target.service() as asynchronous:
            yield asynchronous
    else:
        with Reelbase(own_target.url, own_target.service_role_key) as synchronous:
            yield synchronous


async def test_whole_stack__is_healthy(client: AnyClient) -> None:
    report = await done(client.health.check(thresholds=PATIENT))

    assert report.findings == ()
    assert report.status is HealthStatus.HEALTHY
    assert report.role is UserRole.SERVICE_ROLE
    assert statuses(report) == {str(name): "healthy" for name in HealthCheckName} | {"pool": "skipped"}
    assert report.response_time_ms is not None
    assert report.server_version is not None
    assert report.check(HealthCheckName.REALTIME).details["round_trip_ms"] > 0
    assert not report.recorded


@pytest.mark.parametrize(
    ("limits", "status"),
    [(HealthLimits(degraded=0, unhealthy=1e12), HealthStatus.DEGRADED), (AT_ONCE, HealthStatus.UNHEALTHY)],
)
async def test_thresholds__decide(client: AnyClient, limits: HealthLimits, status: HealthStatus) -> None:
    report = await done(client.health.check(thresholds=patient(response_ms=limits, operation_ms=limits)))

    assert report.status is status
    assert {finding.check for finding in report.findings} == {"connection", "read", "write"}


async def test_optional_checks__are_the_caller_s_choice(client: AnyClient) -> None:
    thresholds = patient(realtime_ms=AT_ONCE)

    usual = await done(client.health.check(thresholds=thresholds))
    strict = await done(client.health.check(thresholds=thresholds, optional=()))

    assert (usual.status, strict.status) == (HealthStatus.DEGRADED, HealthStatus.UNHEALTHY)


async def test_history__is_kept_when_asked_for(own_client: AnyClient) -> None:
    report = await done(own_client.health.check(thresholds=PATIENT, record=True))
    kept = await done(own_client.metrics.latest(metrics=["health.status", "health.check_ms"]))

    assert report.recorded
    values = {(row.metric, row.labels.get("check")): row for row in kept}
    assert values["health.status", None].value == 0
    assert values["health.status", None].recorded_at == report.checked_at
    assert ("health.check_ms", "realtime") in values


async def test_history__that_cannot_be_kept_is_a_finding(target: Target) -> None:
    async with target.anonymous() as client:
        report = await client.health.check(thresholds=PATIENT, record=True)

    assert (report.recorded, report.status) == (False, HealthStatus.DEGRADED)
    assert report.findings[-1].problem.startswith("The values could not be recorded")


async def test_anonymous_client__makes_fewer_checks_and_says_why(target: Target) -> None:
    async with target.anonymous() as client:
        report = await client.health.check(thresholds=PATIENT)

    skipped = {check.name: check.reason for check in report.checks if check.status is HealthStatus.SKIPPED}
    assert report.status is HealthStatus.HEALTHY
    assert skipped.pop(HealthCheckName.POOL)
    assert skipped == dict.fromkeys(BACKENDS_ONLY, "For backends only; this client's role is anon.")


async def test_wrong_key__is_unhealthy_and_not_shown(target: Target) -> None:
    async with AsyncReelbase(target.url, "sb_secret_of_another_project") as client:
        report = await client.health.check(thresholds=PATIENT)

    assert report.status is HealthStatus.UNHEALTHY
    assert "Invalid API key" in report.findings[0].problem
    assert "sb_secret_of_another_project" not in report.model_dump_json()


@pytest.mark.parametrize("way", ["cut", "stall"])
async def test_realtime_away__is_degraded(client: AnyClient, target: Target, way: str) -> None:
    async with Proxy(target.url) as proxy:
        client.health._checkup._endpoint = RealtimeEndpoint(
            f"{proxy.url}/realtime/v1", target.service_role_key
        )
        await proxy.cut() if way == "cut" else proxy.stall()

        report = await in_thread(client, timeout=4.0)

    assert (report.status, report.findings[0].check) == (HealthStatus.DEGRADED, HealthCheckName.REALTIME)
    assert set(statuses(report).values()) == {"healthy", "skipped", "unhealthy"}


async def in_thread(client: AnyClient, *, timeout: float) -> HealthReport:  # noqa: ASYNC109  # is passed on
    """A checkup that leaves this loop, and the proxy in it, free to run."""
    if isinstance(client, AsyncReelbase):
        return await client.health.check(timeout=timeout, thresholds=PATIENT)
    return await asyncio.to_thread(client.health.check, timeout=timeout, thresholds=PATIENT)


async def test_server_that_swallows_everything__is_unhealthy_after_the_time_limit(target: Target) -> None:
    async with Proxy(target.url) as proxy, AsyncReelbase(proxy.url, target.service_role_key) as client:
        proxy.stall()

        report = await client.health.check(timeout=0.2, thresholds=PATIENT)

    assert (report.status, report.response_time_ms) == (HealthStatus.UNHEALTHY, None)
    assert [finding.problem for finding in report.findings] == ["No answer within 0.2 s."]


@pytest.mark.local_stack
async def test_locked_table__holds_up_only_the_checks_that_read_it(
    own_client: AnyClient, own_target: Target
) -> None:
    # A stack that has just begun: Realtime's stream starts only once all writing transactions have ended.
    before = await done(own_client.health.check(timeout=30.0, thresholds=PATIENT))

    with own_target.connect() as other, other.transaction():
        other.execute("lock table jobs in access exclusive mode")
        report = await done(own_client.health.check(timeout=4.0, thresholds=PATIENT))

    assert before.status is HealthStatus.HEALTHY
    assert report.status is HealthStatus.UNHEALTHY
    found = statuses(report)
    assert (found["connection"], found["write"], found["realtime"]) == ("healthy", "healthy", "healthy")
    assert (found["read"], report.findings[0].problem) == ("unhealthy", "No answer within 4 s.")


@pytest.mark.local_stack
async def test_postgres_stopped__is_unhealthy_without_a_traceback() -> None:
    async with Stack(StackOptions(workdir=ROOT, api_port=0, db_port=0, ephemeral=True)) as stack:
        url, key = stack.status.api_url, stack.status.keys.service_role_key
        async with AsyncReelbase(url, key) as client:
            before = await client.health.check(thresholds=PATIENT)
            assert stack._server is not None
            await asyncio.to_thread(stack._server.stop)
            after = await client.health.check(timeout=2.0, thresholds=PATIENT)
        with Reelbase(url, key) as client:
            synchronous = await asyncio.to_thread(client.health.check, timeout=2.0, thresholds=PATIENT)

    assert before.status is HealthStatus.HEALTHY
    for report in (after, synchronous):
        assert (report.status, report.response_time_ms) == (HealthStatus.UNHEALTHY, None)
        assert all(finding.recommendation for finding in report.findings)
        assert "Traceback" not in report.model_dump_json()


async def test_ping__is_the_time_of_a_trip(client: AnyClient) -> None:
    assert await done(client.health.ping()) > 0


async def test_ping__raises_what_a_call_raises() -> None:
    async with AsyncReelbase("http://127.0.0.1:1", "key") as client:
        with pytest.raises(ConnectionFailed):
            await client.health.ping()


@pytest.mark.local_stack
async def test_schema__that_differs_is_told_in_rows(own_client: AnyClient, own_target: Target) -> None:
    assert await done(own_client.health.verify_schema()) == []

    with own_target.connect() as connection:
        connection.execute("drop index public.jobs_newest")

    assert await done(own_client.health.verify_schema()) == [
        SchemaProblem(kind="index", name="jobs_newest on public.jobs", problem="missing")
    ]
