"""`reelbase doctor` and `reelbase health` on real stacks, broken on purpose in one way each."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from localbase.stack import Stack, StackOptions
from reelbase import HealthReport, HealthStatus
from reelbase.cli.health import EXIT_CODES
from reelbase.doctor.api import Api
from reelbase.doctor.catalogue import operations
from support import Target, eventually

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("reelbase"))
SETTINGS = ("SUPABASE_", "REELBASE_", "DATABASE_")
RELOAD = "notify pgrst, 'reload schema'"


def run(tmp_path: Path, *arguments: str, **settings: str | None) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    given = {name: value for name, value in settings.items() if value is not None}
    result = subprocess.run(
        [COMMAND, *arguments],
        cwd=tmp_path,
        # On a busy machine calls are slow, and are said to be.
        env={**clean, "COLUMNS": "400", "REELBASE_SLOW_CALL": "60", **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    told = result.stdout + result.stderr
    assert "Traceback" not in told
    assert not [name for name, value in given.items() if "KEY" in name and value in told]
    return result


def settings_of(target: Target, *, direct: bool = False) -> dict[str, str | None]:
    return {
        "SUPABASE_URL": target.url,
        "SUPABASE_ANON_KEY": target.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": target.service_role_key,
        "DATABASE_URL": target.db_url if direct else None,
    }


def problems(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """What is wrong, by subject."""
    diagnosis = json.loads(result.stdout)
    found = {item["subject"]: item for item in diagnosis["findings"] if item["level"] == "problem"}
    assert diagnosis["healthy"] is (not found)
    assert result.returncode == (1 if found else 0)
    assert all(item["remedy"] for item in found.values())
    return found


@pytest.mark.parametrize("direct", [False, True])
def test_whole_stack__has_no_problem(tmp_path: Path, target: Target, direct: bool) -> None:
    result = run(tmp_path, "doctor", **settings_of(target, direct=direct))

    assert (result.returncode, result.stderr) == (0, "")
    assert "operations have their function." in result.stdout
    assert "A message came back in" in result.stdout
    assert result.stdout.endswith("No problem found.\n")


BREAKS = {
    "a dropped function": (
        ["drop function public.get_event_cursor"],
        "get_event_cursor",
        "events.cursor: get_event_cursor is missing",
    ),
    "a renamed argument": (
        [
            "drop function public.can_subscribe_to_job",
            "create function public.can_subscribe_to_job(id uuid) returns bool language sql as 'select true'",
            "grant execute on function public.can_subscribe_to_job to anon, authenticated, service_role",
        ],
        "can_subscribe_to_job",
        "security.can_subscribe_to_job: can_subscribe_to_job has other arguments: it lacks job_id",
    ),
    "a missing grant": (
        ["revoke execute on function public.get_job_elements from service_role"],
        "get_job_elements",
        "elements.list: get_job_elements is there, but the role service_role may not call it",
    ),
    "an unpublished table": (
        ["alter publication supabase_realtime drop table public.job_events"],
        "public.job_events",
        "The table public.job_events is not published",
    ),
}


@pytest.mark.local_stack
@pytest.mark.parametrize("direct", [False, True], ids=["api", "direct"])
@pytest.mark.parametrize("broken", BREAKS)
async def test_broken_schema__is_found_and_nothing_else(
    tmp_path: Path, own_target: Target, broken: str, direct: bool
) -> None:
    statements, subject, words = BREAKS[broken]
    with own_target.connect() as connection:
        for statement in [*statements, RELOAD]:
            connection.execute(statement)

    def finds() -> None:
        found = problems(run(tmp_path, "doctor", "--json", **settings_of(own_target, direct=direct)))
        # The Data API learns of a change a moment later.
        assert set(found) == {subject}
        assert found[subject]["message"].startswith(words)

    await eventually(finds, seconds=30)


@pytest.mark.local_stack
async def test_other_result__is_found_with_a_direct_connection(tmp_path: Path, own_target: Target) -> None:
    with own_target.connect() as connection:
        connection.execute("drop function public.get_queue_state")
        connection.execute(
            "create function public.get_queue_state() returns table (paused boolean)"
            " language sql as 'select false'"
        )
        connection.execute("grant execute on function public.get_queue_state to service_role")

    result = run(tmp_path, "doctor", "--json", **settings_of(own_target, direct=True))

    assert problems(result)["get_queue_state"]["message"].startswith("queue.state: ")


@pytest.mark.local_stack
async def test_nothing_applied__is_one_problem(tmp_path: Path) -> None:
    async with Stack(
        StackOptions(workdir=ROOT, api_port=0, db_port=0, ephemeral=True, migrate=False)
    ) as stack:
        keys = stack.status.keys
        result = await asyncio.to_thread(
            run,
            tmp_path,
            "doctor",
            SUPABASE_URL=stack.status.api_url,
            SUPABASE_ANON_KEY=keys.publishable_key,
            SUPABASE_SERVICE_ROLE_KEY=keys.secret_key,
        )

    assert result.returncode == 1
    assert "functions are missing: " in result.stdout
    assert "Apply the migrations" in result.stdout


async def test_examples__are_read_by_every_function(target: Target) -> None:
    """An example that Postgres cannot read would be refused before the right to call is looked at."""
    unreadable = {}
    async with Api(target.url, target.service_role_key, timeout=10) as api:
        for operation in operations():
            reply = await api.look(operation.function, operation.arguments)
            if (reply.code or "").startswith("22"):
                unreadable[operation.function] = reply.word("message")

    assert unreadable == {}


@pytest.mark.local_stack
def test_nothing_is_changed(tmp_path: Path, own_target: Target) -> None:
    count = "select (select count(*) from jobs), (select count(*) from job_events),"
    count += " (select count(*) from system_metrics), (select count(*) from security_events)"
    with own_target.connect() as connection:
        before = connection.execute(count).fetchone()
        run(tmp_path, "doctor", **settings_of(own_target))
        after = connection.execute(count).fetchone()

    assert before == after


@pytest.mark.parametrize(
    ("changes", "subjects", "words"),
    [
        ({"SUPABASE_URL": None}, {"SUPABASE_URL"}, "SUPABASE_URL is not set"),
        (
            {"SUPABASE_URL": "here"},
            {"SUPABASE_URL"},
            "SUPABASE_URL is wrong: must be a project's web address",
        ),
        ({"SUPABASE_URL": "http://127.0.0.1:1"}, {"SUPABASE_URL"}, "http://127.0.0.1:1 cannot be reached"),
        ({"SUPABASE_SERVICE_ROLE_KEY": None}, {"SUPABASE_SERVICE_ROLE_KEY"}, "is not set; backends"),
        (
            {"SUPABASE_SERVICE_ROLE_KEY": "sb_secret_of_another_project"},
            {"SUPABASE_SERVICE_ROLE_KEY"},
            "The server does not accept SUPABASE_SERVICE_ROLE_KEY (Invalid API key)",
        ),
        ({"SUPABASE_ANON_KEY": "guess"}, {"SUPABASE_ANON_KEY"}, "SUPABASE_ANON_KEY is no API key"),
        ({"DATABASE_URL": "postgresql://me:hush@127.0.0.1:1/x"}, {"DATABASE_URL"}, "does not let us in"),
        ({"DATABASE_URL": "me:hush@somewhere"}, {"DATABASE_URL"}, "DATABASE_URL is no address of a database"),
        ({"REELBASE_TIMEOUT": "0"}, {"REELBASE_TIMEOUT"}, "REELBASE_TIMEOUT is wrong"),
    ],
)
def test_wrong_setting__is_named(
    tmp_path: Path, target: Target, changes: dict[str, str | None], subjects: set[str], words: str
) -> None:
    given = settings_of(target) | changes

    found = problems(run(tmp_path, "doctor", "--json", **given))
    shown = run(tmp_path, "doctor", **given)

    assert set(found) == subjects
    assert words in next(iter(found.values()))["message"]
    assert words in shown.stdout
    assert "hush" not in shown.stdout + shown.stderr


def test_keys_in_each_other_s_place__are_both_named(tmp_path: Path, target: Target) -> None:
    given = settings_of(target)
    swapped = given | {
        "SUPABASE_ANON_KEY": given["SUPABASE_SERVICE_ROLE_KEY"],
        "SUPABASE_SERVICE_ROLE_KEY": given["SUPABASE_ANON_KEY"],
    }

    found = problems(run(tmp_path, "doctor", "--json", **swapped))

    assert set(found) == {"SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY"}


@pytest.mark.parametrize("key", ["service_role", "anon"])
def test_health__prints_the_report_and_ends_with_its_code(tmp_path: Path, target: Target, key: str) -> None:
    as_json = run(tmp_path, "health", "--key", key, "--json", **settings_of(target))
    shown = run(tmp_path, "health", "--key", key, **settings_of(target))

    report = HealthReport.model_validate_json(as_json.stdout)
    assert as_json.returncode == EXIT_CODES[report.status]
    assert (as_json.stderr, shown.stderr) == ("", "")
    for check in report.checks:
        assert check.name in shown.stdout


def test_health__of_a_server_that_is_away_is_unhealthy(tmp_path: Path, target: Target) -> None:
    result = run(tmp_path, "health", **(settings_of(target) | {"SUPABASE_URL": "http://127.0.0.1:1"}))

    assert result.returncode == EXIT_CODES[HealthStatus.UNHEALTHY]
    assert result.stdout.count("→ Check SUPABASE_URL") == 1
    assert "Unhealthy: no connection" in result.stdout


def test_health__without_its_settings_names_the_one(tmp_path: Path) -> None:
    result = run(tmp_path, "health")

    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("reelbase: SUPABASE_URL is not set.")
