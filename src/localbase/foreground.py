"""Runs a stack until it is told to stop, in this process or in one of its own."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from localbase.errors import LocalbaseError
from localbase.registry import Record, Registry
from localbase.stack import Stack, StackOptions, StackStatus

_HEALTH_INTERVAL_S = 0.5
_START_TIMEOUT_S = 120.0
_POLL_S = 0.05


def run_in_foreground(options: StackOptions, on_ready: Callable[[StackStatus], None]) -> None:
    """Serve until SIGINT or SIGTERM."""
    registry = Registry(options.workdir)
    stack = Stack(options)
    with registry.held():
        asyncio.run(_serve(stack, options, registry, on_ready))


async def _serve(
    stack: Stack, options: StackOptions, registry: Registry, on_ready: Callable[[StackStatus], None]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with stack:
        registry.write(Record.of(options.workdir, stack.status))
        on_ready(stack.status)
        while not stop.is_set():
            stack.check_database()
            try:
                await asyncio.wait_for(stop.wait(), _HEALTH_INTERVAL_S)
            except TimeoutError:
                continue


def start_in_background(options: StackOptions) -> tuple[StackStatus, Path]:
    """Start a process that outlives this one and its terminal. Returns when it is ready."""
    registry = Registry(options.workdir)
    with registry.held():
        # Held for a moment only: to say "already running", and to make the folder of the log.
        log = registry.log
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  this program itself
            [sys.executable, "-m", "localbase", "start", *_arguments(options)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LocalbaseError(_last_line(log))
        record = registry.peek()
        if record is not None and record.pid == process.pid:
            return record.status, log
        time.sleep(_POLL_S)
    raise LocalbaseError(f"The stack was not ready after {_START_TIMEOUT_S:.0f} seconds.", f"See {log}.")


def _arguments(options: StackOptions) -> list[str]:
    return [
        f"--workdir={options.workdir.resolve()}",
        f"--api-port={options.api_port}",
        f"--db-port={options.db_port}",
        *([f"--data-dir={options.data_dir.resolve()}"] if options.data_dir else []),
        *(["--ephemeral"] if options.ephemeral else []),
        *([] if options.migrate else ["--no-migrate"]),
    ]


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("localbase: ") if lines else f"The stack ended at once. See {log}."
