"""The command, as a user gives it."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest

from integration.localbase.projects import ANY_PORTS, Project

pytestmark = pytest.mark.local_stack


def hello(status: dict[str, str]) -> str:
    response = httpx.post(
        f"{status['API_URL']}/rest/v1/rpc/hello", json={}, headers={"apikey": status["SECRET_KEY"]}
    )
    return response.text


def bodies(status: dict[str, str]) -> list[str]:
    with psycopg.connect(status["DB_URL"]) as connection:
        found = connection.execute("select body from public.notes order by id").fetchall()
    return [body for (body,) in found]


def add_note(status: dict[str, str], body: str) -> None:
    with psycopg.connect(status["DB_URL"]) as connection:
        connection.execute("insert into public.notes select max(id) + 1, %s from public.notes", (body,))


def kill(pid: int) -> None:
    """End a stack's process with no chance to clean up, and wait until the kernel has."""
    os.kill(pid, signal.SIGKILL)


def test_start_status_stop(project: Project) -> None:
    status = project.start("--ephemeral")

    assert hello(status) == '"hello; world"'
    assert bodies(status) == ["seeded"]
    assert f'API_URL="{status["API_URL"]}"' in project.run("status", "-o", "env").stdout.splitlines()

    assert project.run("stop").stdout == "Stopped.\n"
    assert project.run("status").returncode == 1


def test_data_outlives_a_stop(project: Project) -> None:
    add_note(project.start(), "kept")
    project.run("stop")

    assert bodies(project.start()) == ["seeded", "kept"]


def test_ephemeral_data_does_not(project: Project) -> None:
    add_note(project.start("--ephemeral"), "lost")
    project.run("stop")

    assert bodies(project.start("--ephemeral")) == ["seeded"]


def test_foreground_ends_at_a_signal(project: Project) -> None:
    command = [sys.executable, "-m", "localbase", "start", "--ephemeral", *ANY_PORTS]
    with subprocess.Popen(
        command,
        cwd=project.workdir,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "API URL: http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()

    assert process.returncode == 0
    assert rest.endswith("Stopped.\n")


def test_second_start_is_refused(project: Project) -> None:
    project.start("--ephemeral")

    done = project.run("start")

    assert done.returncode == 1
    assert "already running" in done.stderr


def test_two_projects_run_side_by_side(project: Project, other_project: Project) -> None:
    one, two = project.start("--ephemeral"), other_project.start("--ephemeral")
    add_note(two, "mine")

    assert one["API_URL"] != two["API_URL"]
    assert (bodies(one), bodies(two)) == (["seeded"], ["seeded", "mine"])


def test_killed_stack_recovers_with_its_data(project: Project) -> None:
    add_note(project.start(), "kept")
    kill(project.pid())

    assert "No stack is running" in project.run("status").stderr
    assert bodies(project.start()) == ["seeded", "kept"]


def test_killed_stack_and_server_recover_with_their_data(project: Project) -> None:
    add_note(project.start(), "kept")
    for pid in (project.pid(), project.server_pid()):
        kill(pid)

    assert bodies(project.start()) == ["seeded", "kept"]


def test_number_of_a_dead_server_may_belong_to_another_process(project: Project, home: Path) -> None:
    add_note(project.start(), "kept")
    project.run("stop")
    (pgdata,) = home.glob("*/data/pgdata")
    (pgdata / "postmaster.pid").write_text(f"{os.getpid()}\n{pgdata}\n")

    assert bodies(project.start()) == ["seeded", "kept"]


def test_reset_while_running(project: Project) -> None:
    status = project.start("--ephemeral")
    add_note(status, "gone")
    assert hello(status) == '"hello; world"'

    done = project.run("reset")

    assert done.returncode == 0, done.stderr
    assert bodies(status) == ["seeded"]
    assert hello(status) == '"hello; world"'


def test_reset_of_a_stopped_stack(project: Project) -> None:
    add_note(project.start(), "gone")
    project.run("stop")

    assert project.run("reset").returncode == 0
    assert bodies(project.start()) == ["seeded"]


def test_no_migrate_leaves_the_database_empty(project: Project) -> None:
    status = project.start("--no-migrate", "--ephemeral")

    with psycopg.connect(status["DB_URL"]) as connection:
        found = connection.execute("select to_regclass('public.notes')").fetchone()
    assert found == (None,)


@pytest.mark.parametrize("option", ["--api-port", "--db-port"])
def test_busy_port_is_named(project: Project, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        ports = {"--api-port": 0, "--db-port": 0, option: port}
        done = project.run("start", "--ephemeral", *(f"{name}={value}" for name, value in ports.items()))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"localbase: Port {port} is in use. Stop what listens there, or choose another port.\n"
    )


def test_failing_migration_is_named_with_its_line(project: Project) -> None:
    broken = project.add_migration("20250102000000_broken.sql", "select 1;\n\n-- why\nselect nope;\n")

    done = project.run("start", "--detach", *ANY_PORTS)

    assert done.returncode == 1
    assert "supabase/migrations/20250102000000_broken.sql:4: column" in done.stderr
    assert len(done.stderr.splitlines()) == 1

    broken.unlink()
    assert bodies(project.start()) == ["seeded"]


def test_failing_migration_leaves_nothing_of_its_file(project: Project) -> None:
    status = project.start()
    project.run("stop")
    project.add_migration("20250102000000_broken.sql", "create table public.half ();\nselect 1 / 0;\n")
    assert project.run("start", *ANY_PORTS).returncode == 1

    status = project.start("--no-migrate")

    with psycopg.connect(status["DB_URL"]) as connection:
        recorded = connection.execute("select version from supabase_migrations.schema_migrations").fetchall()
        half = connection.execute("select to_regclass('public.half')").fetchone()
    assert (recorded, half) == ([("20250101000000",)], (None,))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["start", "--workdir=/"], "/ has no folder supabase."),
        (["start", "--api-port=99999"], "99999 is no port number."),
        (["start", "--ephemeral", "--data-dir=x"], "exclude each other"),
        (["start", *ANY_PORTS, "--data-dir=supabase"], "is not empty and holds no data of localbase"),
        (
            ["start", *ANY_PORTS, "--data-dir=/proc/nothing"],
            "The data directory /proc/nothing cannot be used",
        ),
        (["stop"], "No stack is running"),
        (["status"], "No stack is running"),
    ],
)
def test_mistakes_are_one_line(project: Project, arguments: list[str], said: str) -> None:
    done = project.run(*arguments)

    assert done.returncode == 1
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_unknown_postgres_is_named(project: Project) -> None:
    project.environment["LOCALBASE_POSTGRES_BIN"] = "/nowhere"

    done = project.run("start", "--ephemeral", *ANY_PORTS)

    assert done.returncode == 1
    assert done.stderr.startswith("localbase: /nowhere/initdb cannot be run")
