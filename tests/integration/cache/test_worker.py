"""A worker acts on what it reads, so it reads what is there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from reelbase import AsyncReelbase, Cache, ClaimedJob, Lifetimes
from reelbase.worker.pipeline import Workplace
from reelbase.worker.worker import Worker
from support import AnyClient, Target


class Reading(Worker):
    """Claims nothing, and reads one job twice."""

    async def _next(self) -> Any:
        return await self._client.jobs.create("mp4", 64, 64)

    async def _work_on(self, claimed: ClaimedJob) -> None:
        job: Any = claimed
        for _ in range(2):
            await self._client.jobs.get(job.id)


async def test_a_worker__reads_past_its_clients_cache(
    target: Target, counted: Callable[[AnyClient], Callable[[str], int]], tmp_path: Path
) -> None:
    cache = Cache(lifetimes=Lifetimes(running=3600))
    async with AsyncReelbase(target.url, target.service_role_key, cache=cache) as client:
        carried = counted(client)

        await Reading(client, Workplace(tmp_path)).run(max_jobs=1)

        assert carried("get_job") == 2
        assert cache.stats().memory.entries == 0
