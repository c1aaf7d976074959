"""Create several jobs and follow them all in one event loop."""

import asyncio

from reelbase import AsyncReelbase, ElementSpec, ElementType, Job


async def render(client: AsyncReelbase, title: str) -> Job:
    text = ElementSpec(type=ElementType.TEXT, text_content=title, width="100%", height="100%")
    made = await client.jobs.create_video("mp4", 640, 360, elements=[text], estimated_duration=1)
    async for event in client.jobs.watch(made.job.id):
        print(f"{title}: {event.type} {event.progress_percentage} %")
    return await client.jobs.get(made.job.id)


async def main() -> None:
    async with AsyncReelbase.from_env() as client:
        jobs = await asyncio.gather(*(render(client, title) for title in ("One", "Two", "Three")))
    for job in jobs:
        print(job.id, job.status, job.output_url or job.error_message)


asyncio.run(main())
