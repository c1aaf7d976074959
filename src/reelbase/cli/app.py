"""The commands and how their failures are told."""

import asyncio
import io
import logging
import signal
import sys
from collections.abc import Coroutine
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer

from reelbase.client import AsyncReelbase
from reelbase.errors import ConfigurationError, ReelbaseError
from reelbase.models import EventType, HealthReport, HealthStatus, JobStatus
from reelbase.models.base import OpenEnum
from reelbase.settings import KeyName

T = TypeVar("T")
E = TypeVar("E", bound=OpenEnum)

app = typer.Typer(
    name="reelbase",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """The database layer of a video-production platform on Supabase."""
    if version:
        typer.echo(f"reelbase {metadata.version('reelbase')}")
        raise typer.Exit


@app.command()
def demo(
    source: Annotated[
        list[Path] | None,
        typer.Option(help="A file of your own to make the video of; may be given several times."),
    ] = None,
    output: Annotated[Path, typer.Option(help="The video; an earlier one is replaced.")] = Path(
        "reelbase-demo.mp4"
    ),
    keep: Annotated[bool, typer.Option("--keep", help="Keep the database to look around in.")] = False,
) -> None:
    """Render a real video on a local stack and follow it live."""
    from reelbase.cli.demo import run_demo  # noqa: PLC0415  # needs the extras local and worker

    if not run_async(run_demo(list(source or ()), output, keep=keep)):
        raise typer.Exit(1)


@app.command()
def worker(
    *,
    output_dir: Annotated[Path, typer.Option(help="Directory for finished videos.")] = Path("videos"),
    allow_dir: Annotated[
        list[Path] | None,
        typer.Option(help="Directory below which local sources may be read; may be given several times."),
    ] = None,
    time_limit: Annotated[float, typer.Option(min=1, help="Seconds that one job may take.")] = 3600,
    max_jobs: Annotated[int | None, typer.Option(min=1, help="Stop after so many jobs.")] = None,
    name: Annotated[
        str | None, typer.Option(help="What the worker is called; host and process unless told otherwise.")
    ] = None,
    lease: Annotated[
        float,
        typer.Option(min=1, max=86400, help="Seconds of silence after which others may take its job."),
    ] = 60,
) -> None:
    """Take jobs that wait and render them, until stopped. Settings come from the environment or .env."""
    from reelbase.cli.files import check_directory  # noqa: PLC0415
    from reelbase.worker.pipeline import Workplace  # noqa: PLC0415  # needs the extra worker
    from reelbase.worker.worker import Worker  # noqa: PLC0415

    _log_from(logging.INFO)
    check_directory(output_dir)
    workplace = Workplace(output_dir, tuple(allow_dir or ()), time_limit=time_limit)

    async def work() -> None:
        async with AsyncReelbase.from_env() as client:
            await Worker(client, workplace, name=name, lease=timedelta(seconds=lease)).run(max_jobs)

    run_async(work())


_Consumer = Annotated[str, typer.Option(help="The name under which the place in the log is kept.")]
_Command = Annotated[
    str | None, typer.Option("--exec", help="Run this in the shell for each event, its JSON on stdin.")
]
_Webhook = Annotated[
    str | None, typer.Option(help="POST each event there, signed with REELBASE_WEBHOOK_SECRET.")
]
_Attempts = Annotated[int, typer.Option(min=1, max=1000, help="Attempts after which an event is given up.")]
_Timeout = Annotated[float, typer.Option(min=0.1, max=86400, help="Seconds that one attempt may take.")]


@app.command()
def listen(
    *,
    consumer: _Consumer,
    command: _Command = None,
    webhook: _Webhook = None,
    types: Annotated[
        list[str] | None, typer.Option(help="Only events of this type; several with commas, or repeated.")
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only events after which the job has this status; likewise.")
    ] = None,
    user: Annotated[UUID | None, typer.Option(help="Only events of this user's jobs.")] = None,
    start: Annotated[
        str, typer.Option(help="Where a new consumer begins: beginning, now or a cursor.")
    ] = "beginning",
    attempts: _Attempts = 8,
    timeout: _Timeout = 30,
    lease: Annotated[
        float,
        typer.Option(min=1, max=86400, help="Seconds of silence after which another instance takes over."),
    ] = 60,
    quiet: Annotated[bool, typer.Option("--quiet", help="Only tell what goes wrong.")] = False,
) -> None:
    """Deliver each event to a command or a webhook, in order, from where the consumer stopped last.

    An event that fails holds back those after it until it is delivered or, as a dead letter, given up.
    """
    from reelbase.cli import listen as listening  # noqa: PLC0415  # most commands need none of it

    _log_from(logging.WARNING if quiet else logging.INFO)
    target = listening.Target(*_either(command, webhook), timeout, attempts)
    kinds, states = _chosen(EventType, types, "--types"), _chosen(JobStatus, status, "--status")

    async def work() -> None:
        async with AsyncReelbase.from_env() as client:
            reader = client.events.consumer(
                consumer,
                types=kinds,
                user_id=user,
                status=states,
                start=start,
                lease_time=timedelta(seconds=lease),
            )
            await listening.listen(reader, target, start, _say_nothing if quiet else typer.echo)

    run_async(work())


@app.command()
def dead_letters(
    *,
    consumer: _Consumer,
    redeliver: Annotated[
        list[str] | None,
        typer.Option(help="Deliver this one by --exec or --webhook: the id of its event, or all."),
    ] = None,
    discard: Annotated[
        list[str] | None, typer.Option(help="Throw this one away: the id of its event, or all.")
    ] = None,
    command: _Command = None,
    webhook: _Webhook = None,
    attempts: _Attempts = 1,
    timeout: _Timeout = 30,
) -> None:
    """List the events that a consumer has given up, deliver them after all, or throw them away.

    Exit code 1 when one could not be delivered: it stays.
    """
    from reelbase.cli import dead_letters as letters  # noqa: PLC0415  # most commands need none of it
    from reelbase.cli.listen import Target  # noqa: PLC0415

    _log_from(logging.INFO)
    if redeliver and discard:
        raise typer.BadParameter("--redeliver and --discard exclude each other.")
    if not redeliver and (command or webhook):
        raise typer.BadParameter("Say with --redeliver what is to be delivered.")
    target = Target(*_either(command, webhook), timeout, attempts) if redeliver else None

    async def work() -> bool:
        async with AsyncReelbase.from_env() as client:
            kept = letters.DeadLetters(client, consumer, typer.echo)
            if target is not None:
                return await kept.redeliver(redeliver or (), target)
            if discard:
                return await kept.discard(discard)
            return await kept.show()

    if not run_async(work()):
        raise typer.Exit(1)


def _either(command: str | None, webhook: str | None) -> tuple[str | None, str | None]:
    if (command is None) == (webhook is None):
        raise typer.BadParameter("Give either --exec or --webhook.")
    return command, webhook


def _chosen(kind: type[E], given: list[str] | None, option: str) -> list[E] | None:
    """The members that are named. Raises BadParameter for what is none."""
    names = [name.strip() for each in given or () for name in each.split(",") if name.strip()]
    known = [member.value for member in kind]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"{option}: {name} is none of {', '.join(known)}.")
    return [kind(name) for name in names] or None


def _say_nothing(_: str) -> None:
    pass


def _log_from(level: int) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    # Single calls are of interest when they are slow or fail; one that ends with the command is neither.
    for calls in ("httpx", "reelbase.calls"):
        logging.getLogger(calls).setLevel(logging.WARNING)


@app.command()
def health(
    *,
    key: Annotated[KeyName, typer.Option(help="Whose key to look with.")] = "service_role",
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that each measurement may take.")] = 5,
    record: Annotated[bool, typer.Option("--record", help="Keep the values in system_metrics.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check connection, database, Realtime and queue. Exit code: 0 healthy, 1 degraded, 2 unhealthy."""
    from rich.console import Console  # noqa: PLC0415

    from reelbase.cli.health import EXIT_CODES, print_report  # noqa: PLC0415

    async def check() -> HealthReport:
        async with AsyncReelbase.from_env(key) as client:
            return await client.health.check(timeout=timeout, record=record)

    try:
        report = run_async(check())
    except ConfigurationError as error:
        typer.echo(f"reelbase: {error}", err=True)
        raise typer.Exit(EXIT_CODES[HealthStatus.UNHEALTHY]) from None
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
    else:
        print_report(Console(), report)
    raise typer.Exit(EXIT_CODES[report.status])


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Compare settings, keys, database and Realtime with what this client needs; exit code 1 if any is wrong.

    Nothing is changed. With DATABASE_URL it also looks at the database itself.
    """
    from rich.console import Console  # noqa: PLC0415

    from reelbase.cli.doctor import print_diagnosis  # noqa: PLC0415
    from reelbase.doctor.examination import examine  # noqa: PLC0415

    diagnosis = run_async(examine(Path.cwd()))
    if as_json:
        typer.echo(diagnosis.model_dump_json(indent=2))
    else:
        print_diagnosis(Console(), diagnosis)
    raise typer.Exit(0 if diagnosis.healthy else 1)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end. Ctrl-C, SIGTERM and a closed terminal cancel it, so that it can tidy up."""
    try:
        return asyncio.run(_terminable(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _terminable(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.ensure_future(work)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(ending, task.cancel)
    return await task


def run() -> None:
    """Run the command line; a failure that was foreseen is one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our signs gets question marks
    try:
        app()
    except (ReelbaseError, OSError) as error:
        sys.exit(f"reelbase: {error}")
    except ModuleNotFoundError as error:
        sys.exit(
            f"reelbase: {error.name} is not installed. "
            "Install what this command needs with: pip install 'reelbase[local,worker,cli]'"
        )
    except KeyboardInterrupt:
        sys.exit(130)
