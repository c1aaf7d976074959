"""Every listener hears every event once and in order, whatever breaks.

CHAOS_SEED repeats the faults of a run, CHAOS_SECONDS says how long they go on.
"""

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import pytest

from chaos.consuming import ConsumerProcess
from chaos.crowd import Crowd
from chaos.leftovers import OWN_THREADS, Leftovers
from chaos.listeners import Row
from chaos.plan import Plan, plan
from chaos.stack import Stack
from chaos.storm import Storm
from chaos.tokens import Tokens
from chaos.verdict import judge, read_log
from chaos.wire import Wire
from chaos.writers import Writer
from reelbase import JobSpec
from support import Target, eventually

pytestmark = pytest.mark.local_stack

SECONDS = float(os.environ.get("CHAOS_SECONDS", "60"))
JOBS = 50
WRITERS = 8
CATCHING_UP = 30.0


@pytest.fixture
def seed(capsys: pytest.CaptureFixture[str]) -> int:
    chosen = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(10**6))
    with capsys.disabled():
        print(f"\nCHAOS_SEED={chosen}")  # noqa: T201  # to repeat this run, whatever becomes of it
    return chosen


@pytest.mark.timeout(SECONDS + 180)
async def test_listeners__hear_everything_once_and_in_order_whatever_breaks(
    seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(64, OWN_THREADS))
    faults = plan(seed, SECONDS)
    with repeatable(seed, faults):
        async with Stack(tmp_path / "gateway.log") as stack, Wire(stack.port, Random(f"{seed} wire")) as wire:
            through = replace(stack.target, url=wire.url)
            jobs = await make_jobs(stack.target)
            leftovers = Leftovers(stack.port, wire.port)
            tokens = Tokens(stack.target)
            with ConsumerProcess(through, tmp_path) as consumer:
                async with Crowd(through, tokens, jobs) as crowd:
                    async with writing(stack.target, jobs, seed) as writers:
                        await Storm(stack, wire, consumer, tokens).run(faults)
                    log = read_log(stack)
                    await eventually(lambda: judge(log, [*crowd.heard(), consumer.heard()]), CATCHING_UP)
            await eventually(leftovers.check)
        assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []
        with capsys.disabled():
            print(summary(log, crowd, writers))  # noqa: T201  # whether there was much to hear, and how


@contextmanager
def repeatable(seed: int, faults: Plan) -> Iterator[None]:
    """Whatever fails says how to see it again."""
    try:
        yield
    except BaseException as error:
        every = sorted(
            (fault for of_part in faults.values() for fault in of_part), key=lambda fault: fault.at
        )
        error.add_note("\n".join([f"CHAOS_SEED={seed} CHAOS_SECONDS={SECONDS:g}", *map(str, every)]))
        raise


async def make_jobs(target: Target) -> dict[UUID, UUID | None]:
    """Jobs with their users; some have none."""
    owners = [uuid4(), uuid4(), None]
    specs = [
        JobSpec(output_format="mp4", width=64, height=64, user_id=owners[number % len(owners)])
        for number in range(JOBS)
    ]
    async with target.service() as backend:
        return {job.id: job.user_id for job in await backend.jobs.create_many(specs)}


@asynccontextmanager
async def writing(target: Target, jobs: dict[UUID, UUID | None], seed: int) -> AsyncIterator[list[Writer]]:
    """At the end everything is written that is being written."""
    writers = [Writer(target, list(jobs), Random(f"{seed} writer {number}")) for number in range(WRITERS)]
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            tasks.create_task(writer.run(), name="chaos-writer")
        try:
            yield writers
        finally:
            for writer in writers:
                writer.stop()


def summary(log: list[Row], crowd: Crowd, writers: list[Writer]) -> str:
    counts = sum((listener.counts for listener in crowd.listeners), Counter())
    return "\n".join(
        [
            f"{len(log)} events; {len(crowd.listeners)} listeners: {dict(counts)}",
            f"done: {dict(sum((writer.done for writer in writers), Counter()))}",
            f"refused: {dict(sum((writer.refused for writer in writers), Counter()))}",
        ]
    )
