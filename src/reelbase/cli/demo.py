"""`reelbase demo`: a real video, rendered by a worker in a second process and followed live in this one."""

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from rich.console import Console

from localbase.errors import LocalbaseError
from localbase.stack import Stack, StackOptions
from reelbase.cli import scene
from reelbase.cli.files import check_output
from reelbase.cli.progress import show_progress
from reelbase.cli.report import print_failure, print_result
from reelbase.client import AsyncReelbase
from reelbase.errors import ReelbaseError
from reelbase.models import ElementSpec, Job, JobStatus
from reelbase.worker.media import probe
from reelbase.worker.samples import make_samples

_WIDTH, _HEIGHT, _FPS = 1280, 720, 30


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the demo's stack answers, and where its data lie if they are kept."""

    url: str
    key: str = field(repr=False)
    workdir: Path
    kept: Path | None

    def tell(self, console: Console) -> None:
        if self.kept is None:
            console.print("Data:  an ephemeral database, gone now. With --keep it stays.")
        else:
            console.print(
                f"Data:  {self.kept}\n       localbase start --workdir {self.workdir} --data-dir {self.kept}",
                markup=False,
                soft_wrap=True,
            )


async def run_demo(sources: Sequence[Path], output: Path, *, keep: bool) -> bool:
    """Render the sources, or samples, into `output`. Returns whether the video is there."""
    check_output(output, sources)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="reelbase-demo-") as scratch:
        elements = scene.arranged(sources) if sources else await _samples(console, Path(scratch))
        async with _stack(console, keep=keep) as place:
            return await _render(console, place, elements, Path(scratch), output)


async def _samples(console: Console, directory: Path) -> list[ElementSpec]:
    console.print("Making two clips and a picture with ffmpeg …")
    background, inset, picture = await make_samples(directory)
    return scene.showcase(background, inset, picture)


async def _render(
    console: Console, place: _Place, elements: list[ElementSpec], scratch: Path, output: Path
) -> bool:
    async with AsyncReelbase(place.url, place.key) as client:
        made = await client.jobs.create_video(
            "mp4",
            _WIDTH,
            _HEIGHT,
            fps=_FPS,
            elements=elements,
            estimated_duration=await asyncio.to_thread(scene.length, elements),
            user_agent="reelbase demo",
        )
        console.print(f"Created job [bold]{made.job.id}[/] with {len(made.elements)} elements.")
        async with _worker(place, elements, scratch) as worker:
            await _follow(console, client, made.job.id, worker)
        job = await client.jobs.get(made.job.id)
        timeline = await client.timeline.get(made.job.id)
    if job.status is not JobStatus.COMPLETED:
        print_failure(console, job, timeline)
        return False
    video = await asyncio.to_thread(_fetched, job, output)
    print_result(console, job, timeline, video, await asyncio.to_thread(probe, video))
    place.tell(console)
    return True


async def _follow(
    console: Console, client: AsyncReelbase, job_id: UUID, worker: asyncio.subprocess.Process
) -> None:
    """Show the job's progress to its end. Raises ReelbaseError when the worker dies before that."""
    async with client.jobs.watch(job_id) as events:
        shown = asyncio.create_task(show_progress(console, events), name="reelbase-demo-progress")
        died = asyncio.create_task(worker.wait(), name="reelbase-demo-worker")
        try:
            await asyncio.wait({shown, died}, return_when=asyncio.FIRST_COMPLETED)
            if not shown.done() and died.result() != 0:
                raise ReelbaseError(f"The worker ended with exit code {died.result()}; see its log above.")
            await shown
            pushed, read = events.counts.pushed, events.counts.read
            console.print(f"{pushed + read} events: {pushed} pushed by Realtime, {read} read from the log.")
        finally:
            shown.cancel()
            died.cancel()
            await asyncio.gather(shown, died, return_exceptions=True)


@contextlib.asynccontextmanager
async def _worker(
    place: _Place, elements: Sequence[ElementSpec], scratch: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker for one job, in a process of its own. It tells what it does into a log file."""
    allowed = [argument for path in scene.directories(elements) for argument in ("--allow-dir", str(path))]
    command = ["-m", "reelbase", "worker", "--max-jobs", "1", "--output-dir", str(scratch), *allowed]
    settings = {"SUPABASE_URL": place.url, "SUPABASE_SERVICE_ROLE_KEY": place.key}
    log = scratch / "worker.log"
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env={**os.environ, **settings}, stdout=written, stderr=written
        )
    try:
        yield process
        await process.wait()
    except ReelbaseError:
        sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@contextlib.asynccontextmanager
async def _stack(console: Console, *, keep: bool) -> AsyncIterator[_Place]:
    workdir = _project()
    kept = _new_place() if keep else None
    options = StackOptions(workdir=workdir, api_port=0, db_port=0, data_dir=kept, ephemeral=not keep)
    console.print("Starting a local stack: Postgres, Data API, Realtime …")
    try:
        async with Stack(options) as stack:
            console.print(f"The stack answers at {stack.status.api_url}.")
            yield _Place(stack.status.api_url, stack.status.keys.service_role_key, workdir, kept)
    except LocalbaseError as error:
        raise ReelbaseError(str(error)) from error


def _new_place() -> Path:
    """A directory that does not exist yet: localbase makes it, for the user who runs Postgres."""
    return Path(tempfile.gettempdir()) / f"reelbase-demo-data-{secrets.token_hex(4)}"


def _project() -> Path:
    """The directory that holds `supabase/migrations`: here, or the checkout this module is part of."""
    candidates = [Path.cwd(), *Path(__file__).resolve().parents]
    for directory in candidates:
        if (directory / "supabase" / "migrations").is_dir():
            return directory
    raise ReelbaseError("There is no supabase/migrations here.", hint="Run this in a checkout of reelbase.")


def _fetched(job: Job, output: Path) -> Path:
    """Move the video to where the user wants it."""
    shutil.move(scene.local_path(job.output_url or ""), output)
    return output.resolve()
