"""Progress bars of a job, moved by its events and nothing else."""

from collections.abc import AsyncIterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from reelbase.models import JobEvent, ProcessingStep, StepCompleted, StepProgressed, StepStarted

_MARKS = {None: "[cyan]●[/]", True: "[green]✔[/]", False: "[red]✘[/]"}


class ProgressBars:
    """One bar for the job and one for each step that has begun."""

    def __init__(self, console: Console) -> None:
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            console=console,
        )
        self._job = self.bars.add_task(_label("[cyan]●[/]", "job: pending"), total=100)
        self._steps: dict[ProcessingStep, TaskID] = {}

    def show(self, event: JobEvent) -> None:
        """Move the bars to where the event says the job is."""
        self._show_job(event)
        if isinstance(event, StepStarted | StepProgressed | StepCompleted):
            self._show_step(event)

    def _show_job(self, event: JobEvent) -> None:
        success = (event.status == "completed") if event.is_terminal else None
        self.bars.update(
            self._job,
            completed=float(event.progress_percentage),
            description=_label(_MARKS[success], f"job: {event.status}"),
        )
        if event.is_terminal:
            self.bars.stop_task(self._job)

    def _show_step(self, event: StepStarted | StepProgressed | StepCompleted) -> None:
        step = event.data.step
        if step not in self._steps:
            self._steps[step] = self.bars.add_task("", total=100)
        if isinstance(event, StepStarted):
            # A step that is started anew was only waiting until now.
            self.bars.reset(self._steps[step])
        self.bars.update(
            self._steps[step],
            completed=float(event.data.progress_percentage),
            description=_label(_MARKS[event.data.success], step),
        )
        if isinstance(event, StepCompleted):
            self.bars.stop_task(self._steps[step])


async def show_progress(console: Console, events: AsyncIterator[JobEvent]) -> None:
    """Show bars until the events end."""
    shown = ProgressBars(console)
    with shown.bars:
        async for event in events:
            shown.show(event)


def _label(mark: str, text: str) -> str:
    return f"{mark} {text:<17}"
