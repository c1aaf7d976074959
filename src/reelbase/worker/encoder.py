"""Running ffmpeg: found, watched while it works, and never left behind."""

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from errno import ENOSPC
from pathlib import Path

from reelbase.worker.errors import PassingRenderError, RenderError

OnProgress = Callable[[float], Awaitable[None]]

_COMMON = (
    *("-nostdin", "-hide_banner", "-nostats", "-y"),
    *("-loglevel", "error", "-progress", "pipe:1", "-stats_period", "0.25"),
)
_NOT_RUN = {126, 127}
"""What setpriv ends with when it cannot run what it was to run."""
_TAIL = 4_000
_GRACE = 3.0
_NICENESS = 10
_DONE = 100.0


def find_ffmpeg() -> Path:
    """The system's ffmpeg, else the one that the imageio-ffmpeg wheel carries.

    Raises RenderError ffmpeg_missing.
    """
    system = shutil.which("ffmpeg")
    return Path(system) if system else _carried()


def _carried() -> Path:
    try:
        # Imported here because it is needless where ffmpeg is installed; it ships no types.
        from imageio_ffmpeg import get_ffmpeg_exe  # type: ignore[import-untyped] # noqa: PLC0415

        return Path(get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise PassingRenderError(
            "ffmpeg_missing",
            "There is no ffmpeg; install it, or `pip install reelbase[worker]`, which brings one.",
        ) from error


async def encode(arguments: Sequence[str], *, duration: float, on_progress: OnProgress) -> None:
    """Run ffmpeg with the arguments; the last one is the path of its output.

    `duration` is the output's length in seconds; `on_progress` gets percent, rising, and 100 when the
    file is whole. On failure and on cancellation ffmpeg is gone and so is its output.
    Raises RenderError: encoding_failed, unsupported_format or ffmpeg_missing.
    """
    output = Path(arguments[-1])
    whole = False
    try:
        async with _running(arguments) as (process, complaints):
            await _report(process, duration, on_progress)
            errors = await complaints
            code = await process.wait()
        if code != 0:
            raise _failure(code, errors)
        await on_progress(_DONE)
        whole = True
    finally:
        if not whole:
            output.unlink(missing_ok=True)  # noqa: ASYNC240 # one unlink; a thread could outlive the task


@asynccontextmanager
async def _running(arguments: Sequence[str]) -> AsyncIterator[tuple[Process, asyncio.Task[str]]]:
    process = await _start(arguments)
    complaints = asyncio.create_task(_tail(process), name="reelbase-ffmpeg-stderr")
    try:
        yield process, complaints
    finally:
        complaints.cancel()
        await _stop(process)


async def _start(arguments: Sequence[str]) -> Process:
    executable = find_ffmpeg()
    try:
        process = await asyncio.create_subprocess_exec(
            *_leash(), executable, *_COMMON, *arguments, stdout=PIPE, stderr=PIPE
        )
    except OSError as error:
        reason = f"{executable} cannot be run: {error.strerror}."
        raise PassingRenderError("ffmpeg_missing", reason) from error
    _lower_priority(process.pid)
    return process


def _leash() -> list[str | Path]:
    """Where the system can do it, ffmpeg is ended with this process even if that is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []


def _lower_priority(pid: int) -> None:
    """Encoding takes every core it gets; the worker's own heartbeat must not wait for it."""
    if not hasattr(os, "setpriority"):
        return
    with suppress(ProcessLookupError):  # ffmpeg has already ended; its exit code tells why
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                await process.wait()
    finally:
        # Also when the end itself is cancelled: nothing is left running.
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _report(process: Process, duration: float, on_progress: OnProgress) -> None:
    assert process.stdout is not None  # noqa: S101 # asked for with PIPE
    last = 0.0
    async for line in process.stdout:
        percent = progress(line.decode(errors="replace"), duration)
        if percent is not None and percent > last:
            last = percent
            await on_progress(percent)


def progress(line: str, duration: float) -> float | None:
    """Percent that a line of ffmpeg's progress report tells of; None when it tells of something else.

    It stays below 100: ffmpeg still has to write the index when the last frame is encoded.
    """
    key, _, value = line.strip().partition("=")
    if key != "out_time_us" or not value.isdecimal() or duration <= 0:
        return None
    return min(99.0, round(int(value) / (duration * 1_000_000) * 100, 1))


async def _tail(process: Process) -> str:
    """The end of what ffmpeg complains about: a broken source can make it complain once a frame."""
    assert process.stderr is not None  # noqa: S101 # asked for with PIPE
    tail = b""
    while chunk := await process.stderr.read(_TAIL):
        tail = (tail + chunk)[-_TAIL:]
    return tail.decode(errors="replace").strip()


def _failure(code: int, errors: str) -> RenderError:
    details = {"exit_code": code, "stderr": errors}
    if "Unknown encoder" in errors:
        reason = "This ffmpeg has no encoder for the output format; install a complete build."
        return PassingRenderError("unsupported_format", reason, details=details)
    if code in _NOT_RUN:
        return PassingRenderError("ffmpeg_missing", f"ffmpeg cannot be run: {errors}.", details=details)
    if code < 0:
        reason = f"ffmpeg was ended by signal {-code}; without memory the system does that."
        return PassingRenderError("encoding_failed", reason, details=details)
    if os.strerror(ENOSPC) in errors:
        return PassingRenderError("disk_full", "There is no room for the video.", details=details)
    last = errors.rpartition("\n")[2] or "it gave no reason"
    return RenderError("encoding_failed", f"ffmpeg stopped with code {code}: {last}.", details=details)
