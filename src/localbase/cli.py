"""The `localbase` command."""

import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import psycopg
import typer

from localbase.database import bootstrap
from localbase.errors import LocalbaseError
from localbase.foreground import run_in_foreground, start_in_background
from localbase.project import read_project
from localbase.registry import Registry
from localbase.stack import API_PORT, DB_PORT, StackOptions, StackStatus, reset, running_server

app = typer.Typer(
    help="A local stand-in for Supabase: Postgres, the Data API and Realtime in one process.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Output(StrEnum):
    """How `status` prints."""

    PRETTY = "pretty"
    ENV = "env"
    JSON = "json"


Workdir = Annotated[Path, typer.Option(help="The directory that holds supabase/.", show_default="here")]
_HERE = Path()


@app.command()
def start(  # noqa: PLR0917  typer turns each into an option
    workdir: Workdir = _HERE,
    api_port: Annotated[int, typer.Option(help="Port of the API; 0 for a free one.")] = API_PORT,
    db_port: Annotated[int, typer.Option(help="Port of Postgres; 0 for a free one.")] = DB_PORT,
    data_dir: Annotated[Path | None, typer.Option(help="Keep the data here.")] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Throw the data away at the end.")] = False,
    no_migrate: Annotated[bool, typer.Option("--no-migrate", help="Leave the database empty.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return when ready, run on.")] = False,
) -> None:
    """Start the stack, apply migrations, and serve until Ctrl-C."""
    if ephemeral and data_dir is not None:
        raise LocalbaseError("--ephemeral and --data-dir exclude each other.", "Leave one of them out.")
    options = StackOptions(
        workdir=workdir,
        api_port=api_port,
        db_port=db_port,
        data_dir=data_dir,
        ephemeral=ephemeral,
        migrate=not no_migrate,
    )
    if detach:
        status, log = start_in_background(options)
        typer.echo(_pretty(status))
        typer.echo(f"Log: {log}")
    else:
        run_in_foreground(options, lambda status: typer.echo(_pretty(status)))
        typer.echo("Stopped.")


@app.command()
def stop(workdir: Workdir = _HERE) -> None:
    """Stop the running stack. Its data stays, unless it is ephemeral."""
    Registry(workdir).stop()
    typer.echo("Stopped.")


@app.command()
def status(
    workdir: Workdir = _HERE,
    output: Annotated[Output, typer.Option("-o", "--output", help="The format.")] = Output.PRETTY,
) -> None:
    """Show where the running stack is and its keys."""
    running = Registry(workdir).running().status
    match output:
        case Output.PRETTY:
            typer.echo(_pretty(running))
        case Output.ENV:
            typer.echo("\n".join(f'{name}="{value}"' for name, value in running.variables().items()))
        case Output.JSON:
            typer.echo(json.dumps(running.variables(), indent=2))


@app.command("reset")
def reset_command(
    workdir: Workdir = _HERE,
    data_dir: Annotated[Path | None, typer.Option(help="Where the data is kept.")] = None,
) -> None:
    """Drop everything in the database, then apply migrations and seeds again."""
    project = read_project(workdir)
    record = Registry(workdir).read()
    if record is not None:
        reset(project, record.status.database)
    else:
        options = StackOptions(workdir=workdir, db_port=0, data_dir=data_dir)
        with Registry(workdir).held(), running_server(options) as server:
            bootstrap(server.port)
            reset(project, server.database())
    typer.echo("The database is as new.")


def _pretty(status: StackStatus) -> str:
    titles = {
        "API_URL": "API URL",
        "DB_URL": "DB URL",
        "PUBLISHABLE_KEY": "Publishable key",
        "SECRET_KEY": "Secret key",
        "ANON_KEY": "anon key",
        "SERVICE_ROLE_KEY": "service_role key",
        "JWT_SECRET": "JWT secret",
    }
    width = max(map(len, titles.values()))
    variables = status.variables()
    return "\n".join(f"{title:>{width}}: {variables[name]}" for name, title in titles.items())


def main() -> None:
    """Every foreseeable failure is one line on standard error and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # It warns of each pipeline that a refused request left unfinished.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    try:
        app()
    except LocalbaseError as error:
        raise SystemExit(f"localbase: {error}") from None
    except psycopg.Error as error:
        raise SystemExit(f"localbase: the database failed: {' '.join(str(error).split())}") from None
