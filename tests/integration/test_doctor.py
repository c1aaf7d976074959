"""The examination of servers that are not what they should be, without the command around it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from reelbase.doctor import database
from reelbase.doctor.diagnosis import Diagnosis, Finding, Level
from reelbase.doctor.examination import examine
from support import Target

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
KEY = "sb_secret_of_this_test"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A web server of our own that answers as it likes."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def diagnose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Awaitable[Diagnosis]]:
    """Examines a server with settings of its own and no others."""

    async def examined(url: str, key: str = KEY, database_url: str = "") -> Diagnosis:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SUPABASE_URL", url)
        monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", key)
        monkeypatch.setenv("SUPABASE_ANON_KEY", "")
        monkeypatch.setenv("DATABASE_URL", database_url)
        return await examine(tmp_path)

    return examined


def about(diagnosis: Diagnosis, area: str) -> list[Finding]:
    return [finding for finding in diagnosis.findings if finding.area == area]


async def test_web_page__is_no_data_api(diagnose: Callable[..., Awaitable[Diagnosis]]) -> None:
    async def page(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="<h1>Welcome to nginx!</h1>", content_type="text/html")

    async with serving(page) as url:
        diagnosis = await diagnose(url)

    (finding,) = about(diagnosis, "connection")
    assert (finding.level, finding.subject) == (Level.PROBLEM, "SUPABASE_URL")
    assert finding.message == "What answers at SUPABASE_URL is no Data API (HTTP 200)."


async def test_server_that_lets_get_write__is_not_asked_further(
    diagnose: Callable[..., Awaitable[Diagnosis]],
) -> None:
    asked = []

    async def careless(request: web.Request) -> web.StreamResponse:
        asked.append(request.path.rpartition("/")[2])
        return web.json_response("service_role")

    async with serving(careless) as url:
        diagnosis = await diagnose(url)

    (finding,) = about(diagnosis, "operations")
    assert finding.level is Level.SKIPPED
    assert "pause_queue" not in asked


async def test_wrong_clock__is_told(diagnose: Callable[..., Awaitable[Diagnosis]]) -> None:
    async def early(_request: web.Request) -> web.StreamResponse:
        headers = {"Date": "Thu, 01 Jan 2015 00:00:00 GMT"}
        return web.json_response({"code": "42501", "message": "No."}, status=403, headers=headers)

    async with serving(early) as url:
        diagnosis = await diagnose(url)

    (finding,) = about(diagnosis, "clock")
    assert finding.message.endswith("s ahead of the server's; fresh tokens are refused for that.")


@pytest.mark.local_stack
async def test_unknown_callers__are_worth_a_note(
    diagnose: Callable[..., Awaitable[Diagnosis]], own_target: Target
) -> None:
    with own_target.connect() as connection:
        connection.execute(
            """update private.settings set value = '"x-nobody-writes-this"' where name = 'client_ip_header'"""
        )

    diagnosis = await diagnose(own_target.url, own_target.service_role_key)

    (finding,) = about(diagnosis, "callers")
    assert (finding.level, diagnosis.healthy) == (Level.NOTE, True)
    assert "client_ip_header" in (finding.remedy or "")


async def test_missing_driver__is_told_with_what_to_install(
    diagnose: Callable[..., Awaitable[Diagnosis]], target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "has_driver", lambda: False)

    diagnosis = await diagnose(target.url, target.service_role_key, target.db_url)

    (finding,) = about(diagnosis, "database")
    assert (finding.level, finding.remedy) == (Level.SKIPPED, "pip install 'reelbase[transactions]'")


@pytest.mark.local_stack
async def test_migrations_not_applied__are_named(
    diagnose: Callable[..., Awaitable[Diagnosis]], target: Target, tmp_path: Path
) -> None:
    migrations = tmp_path / "supabase" / "migrations"
    migrations.mkdir(parents=True)
    (migrations / "20300101000000_the_future.sql").touch()

    diagnosis = await diagnose(target.url, target.service_role_key, target.db_url)

    (finding,) = about(diagnosis, "migrations")
    assert finding.message == "Not applied: 20300101000000_the_future.sql."
