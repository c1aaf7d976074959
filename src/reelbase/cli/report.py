"""What the demo tells at its end."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reelbase.models import Job, TimelineStep
from reelbase.worker.media import MediaInfo

_MIB = 1024 * 1024


def print_result(
    console: Console, job: Job, timeline: Sequence[TimelineStep], video: Path, media: MediaInfo
) -> None:
    """The timeline, and the video as it was found by opening it."""
    console.print(timeline_table(timeline))
    sound = f"with {media.audio_codec} sound" if media.has_audio else "without sound"
    console.print(
        f"Video: [bold]{escape(str(video))}[/]\n"
        f"       {media.width}×{media.height}, {media.duration:.2f} s, {media.video_codec} {sound}, "
        f"{media.size_bytes / _MIB:.2f} MiB (asked for {job.width}×{job.height})",
        soft_wrap=True,
    )


def print_failure(console: Console, job: Job, timeline: Sequence[TimelineStep]) -> None:
    """The timeline up to the failing step, and the error as it stands on the job."""
    console.print(timeline_table(timeline))
    failed = next((step.step for step in timeline if step.success is False), None)
    where = f" in step {failed}" if failed else ""
    console.print(f"[red]The job {job.status}{where}[/] ({job.error_code}): ", end="", soft_wrap=True)
    console.print(job.error_message, markup=False, soft_wrap=True)


def timeline_table(timeline: Sequence[TimelineStep]) -> Table:
    """A row a step: wall time, processor, memory."""
    table = Table(title="Timeline", title_justify="left")
    table.add_column("step")
    table.add_column("result")
    for name in ("duration", "cpu", "memory (peak)"):
        table.add_column(name, justify="right")
    for step in timeline:
        table.add_row(step.step, _result(step), *_cost(step))
    return table


def _result(step: TimelineStep) -> str:
    return {True: "[green]ok[/]", False: "[red]failed[/]", None: "open"}[step.success]


def _cost(step: TimelineStep) -> tuple[str, str, str]:
    return (
        "" if step.duration_ms is None else f"{step.duration_ms / 1000:.2f} s",
        "" if step.cpu_usage is None else f"{step.cpu_usage:.0f} %",
        "" if step.memory_usage is None else f"{step.memory_usage / _MIB:.0f} MiB",
    )
