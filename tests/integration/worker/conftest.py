"""A stack with a database of its own, and workers on it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from reelbase import AsyncReelbase, ElementSpec, ElementType, Job, ProcessingStep
from reelbase.worker.pipeline import Workplace
from reelbase.worker.samples import make_samples
from reelbase.worker.worker import Worker
from support import Target, eventually

Submit = Callable[..., Awaitable[Job]]


@pytest.fixture
async def backend(own_target: Target) -> AsyncIterator[AsyncReelbase]:
    async with own_target.service() as client:
        yield client


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "videos", allowed_dirs=(tmp_path,), private_addresses=True)


@pytest.fixture
def worker(backend: AsyncReelbase, workplace: Workplace) -> Worker:
    return Worker(backend, workplace, poll_interval=0.05)


@pytest.fixture
def submitted(backend: AsyncReelbase) -> Submit:
    """Submits a small job of the given elements, or of the given sources."""

    async def submit(*elements: ElementSpec | str, **properties: object) -> Job:
        given = [
            ElementSpec(type=ElementType.VIDEO, source_url=element) if isinstance(element, str) else element
            for element in elements
        ]
        wanted = {"width": 128, "height": 72, "estimated_duration": 0.5, **properties}
        return (await backend.jobs.create_video("mp4", elements=given, **wanted)).job

    return submit


@pytest.fixture
async def long_job(backend: AsyncReelbase, tmp_path: Path) -> Job:
    """A job that takes minutes to encode."""
    source = (await make_samples(tmp_path))[0]
    clip = ElementSpec(type=ElementType.VIDEO, source_url=source.as_uri())
    return (await backend.jobs.create_video("mp4", 3840, 2160, elements=[clip], estimated_duration=60)).job


@pytest.fixture
def encoding(backend: AsyncReelbase) -> Callable[[Job], Awaitable[None]]:
    """Waits until a job is being encoded."""

    async def wait(job: Job) -> None:
        async def is_encoding() -> None:
            assert (await backend.jobs.get(job.id)).current_step is ProcessingStep.ENCODING

        await eventually(is_encoding, seconds=30)

    return wait
