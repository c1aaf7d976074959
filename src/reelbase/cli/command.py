"""Events as runs of a command."""

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

from reelbase.cli.delivery import NotDelivered, as_json
from reelbase.models import JobEvent

_GRACE = 5.0


class Command:
    """Runs a command of the shell for each event, which reads the event from its standard input as JSON.

    Exit code 0 is success. After `timeout` seconds the command and all it started are ended.
    """

    def __init__(self, command: str, *, timeout: float) -> None:
        self._command = command
        self._timeout = timeout

    async def deliver(self, event: JobEvent) -> None:
        """One attempt. Raises NotDelivered."""
        process = await self._started(event)
        try:
            async with asyncio.timeout(self._timeout):
                await process.communicate(as_json(event) + b"\n")
        except TimeoutError:
            raise NotDelivered(f"not done within {self._timeout:g} s") from None
        finally:
            await _stop(process)
        code = process.returncode or 0
        if code < 0:
            raise NotDelivered(f"ended by signal {-code}")
        if code > 0:
            raise NotDelivered(f"exit code {code}")

    async def _started(self, event: JobEvent) -> Process:
        try:
            return await asyncio.create_subprocess_shell(
                self._command,
                stdin=PIPE,
                env={
                    **os.environ,
                    "REELBASE_EVENT_ID": str(event.id),
                    "REELBASE_EVENT_TYPE": event.type,
                    "REELBASE_JOB_ID": str(event.job_id),
                },
                # A group of its own: it can be ended as a whole, and Ctrl-C does not reach it before us.
                start_new_session=True,
            )
        except OSError as error:
            # The machine may be short of memory, processes or files for a while.
            raise NotDelivered(f"not started ({error})") from error


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    _signal(process, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
    finally:
        # Also when the end itself is cancelled: nothing is left running.
        _signal(process, signal.SIGKILL)
        await process.wait()


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
