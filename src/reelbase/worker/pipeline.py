"""The way of a job through its seven steps, from sources to the finished video."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelbase.client import AsyncReelbase
from reelbase.models import ClaimedJob, Element, ElementType, ProcessingStep
from reelbase.worker import sources, text
from reelbase.worker.composition import Composition, Layer, compose
from reelbase.worker.encoder import encode, find_ffmpeg
from reelbase.worker.errors import RenderError
from reelbase.worker.formats import output_format
from reelbase.worker.geometry import Size
from reelbase.worker.media import MediaInfo, probe
from reelbase.worker.recording import JobRecord
from reelbase.worker.reporting import persistently

_MIB = 1024 * 1024
_SUMMARIES = 100
"""As many sources are described in a step's details; those have room for 64 KiB."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a worker may read and where it puts its videos."""

    output_dir: Path
    allowed_dirs: tuple[Path, ...] = ()
    """Local sources are read below these directories only."""
    max_source_bytes: int = 2048 * _MIB
    time_limit: float = 3600.0
    """Seconds that one job may take, from its first step to its last."""
    private_addresses: bool = False
    """Whether sources may come from loopback and private networks."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished video, as it was found by opening it."""

    path: Path
    media: MediaInfo

    @property
    def duration(self) -> float | None:
        return self.media.duration


class Pipeline:
    """Renders one job. Every step is recorded in the job's timeline."""

    def __init__(self, client: AsyncReelbase, workplace: Workplace, claimed: ClaimedJob) -> None:
        self._client = client
        self._workplace = workplace
        self._job = claimed.job
        self._record = JobRecord(client, claimed)

    async def run(self) -> Rendered:
        """Render the job. Raises RenderError after recording it on the step that failed, and LeaseLost."""
        with _scratch() as scratch:
            elements = await self._validated()
            paths = await self._downloaded(elements, scratch)
            layers = await self._processed(elements, paths, scratch)
            composition = await self._composed(layers)
            video = await self._encoded(composition, scratch)
            result = await self._uploaded(video, composition)
            async with self._record.step(ProcessingStep.CLEANUP) as step:
                step.details = {"removed_bytes": await asyncio.to_thread(_emptied, scratch)}
        return result

    async def _validated(self) -> list[Element]:
        async with self._record.step(ProcessingStep.VALIDATION) as step:
            elements = await persistently(lambda: self._client.elements.list(self._job.id))
            step.details = {"elements": len(elements)}
            output_format(self._job.output_format)
            find_ffmpeg()
            for element in elements:
                async with self._record.element(element):
                    self._check(element)
        return elements

    def _check(self, element: Element) -> None:
        if element.source_url is not None:
            sources.check(
                element.source_url,
                self._workplace.allowed_dirs,
                private_addresses=self._workplace.private_addresses,
            )

    async def _downloaded(self, elements: list[Element], scratch: Path) -> dict[int, Path]:
        wanted = [element for element in elements if element.source_url is not None]
        paths: dict[int, Path] = {}
        total = 0
        async with self._record.step(ProcessingStep.DOWNLOAD) as step:
            for done, element in enumerate(wanted):
                async with self._record.element(element):
                    path = await self._fetched(element, scratch)
                size = path.stat().st_size
                await self._record.downloaded(element, str(path), size)
                await step.report(100 * (done + 1) / len(wanted))
                paths[element.element_order] = path
                total += size
            step.details = {"files": len(paths), "bytes": total}
        return paths

    async def _fetched(self, element: Element, scratch: Path) -> Path:
        return await sources.fetch(
            element.source_url or "",
            scratch,
            max_bytes=self._workplace.max_source_bytes,
            allowed_dirs=self._workplace.allowed_dirs,
            private_addresses=self._workplace.private_addresses,
        )

    async def _processed(self, elements: list[Element], paths: dict[int, Path], scratch: Path) -> list[Layer]:
        layers: list[Layer] = []
        async with self._record.step(ProcessingStep.PROCESSING) as step:
            for done, element in enumerate(elements):
                async with self._record.element(element):
                    layers.append(await asyncio.to_thread(self._layer, element, paths, scratch))
                await self._record.processed(element)
                await step.report(100 * (done + 1) / len(elements))
            step.details = {"sources": [_summary(layer) for layer in layers[:_SUMMARIES]]}
        return layers

    def _layer(self, element: Element, paths: dict[int, Path], scratch: Path) -> Layer:
        if element.type is ElementType.TEXT:
            canvas = Size(self._job.width, self._job.height)
            path = text.draw(element, canvas, scratch / f"text-{element.element_order}.png")
        else:
            path = paths[element.element_order]
        return Layer(element, path, probe(path))

    async def _composed(self, layers: list[Layer]) -> Composition:
        async with self._record.step(ProcessingStep.COMPOSITION) as step:
            composition = compose(self._job, layers)
            step.details = {
                "duration": composition.duration,
                "has_audio": composition.has_audio,
                "inputs": len(composition.inputs),
            }
        return composition

    async def _encoded(self, composition: Composition, scratch: Path) -> Path:
        video = scratch / f"video.{self._job.output_format}"
        async with self._record.step(ProcessingStep.ENCODING) as step:
            await encode(composition.arguments(video), duration=composition.duration, on_progress=step.report)
            step.details = {"bytes": video.stat().st_size}
        return video

    async def _uploaded(self, video: Path, composition: Composition) -> Rendered:
        target = self._workplace.output_dir / f"{self._job.id}.{self._job.output_format}"
        async with self._record.step(ProcessingStep.UPLOAD) as step:
            media = await asyncio.to_thread(probe, video)
            _check_size(media, composition)
            await asyncio.to_thread(_published, video, target)
            step.details = {"path": str(target), "bytes": media.size_bytes}
        return Rendered(target, media)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="reelbase-job-") as directory:
        yield Path(directory)


def _check_size(media: MediaInfo, composition: Composition) -> None:
    """What was asked for must have come out, before anybody is told that it did."""
    if (media.width, media.height) != (composition.size.width, composition.size.height):
        raise RenderError(
            "encoding_failed",
            f"The video came out as {media.width}×{media.height} "
            f"instead of {composition.size.width}×{composition.size.height}.",
        )


def _published(video: Path, target: Path) -> None:
    """Put the video in its place, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    shutil.move(video, partial)
    partial.replace(target)


def _emptied(directory: Path) -> int:
    """Remove what is in the directory; the bytes that were freed."""
    files = [path for path in directory.iterdir() if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    for path in files:
        path.unlink()
    return size


def _summary(layer: Layer) -> dict[str, object]:
    media = layer.media
    return {
        "element_order": layer.element.element_order,
        "type": layer.element.type,
        **({} if media is None else {"container": media.container, "duration": media.duration}),
        **({} if media is None else {"width": media.width, "height": media.height}),
    }
