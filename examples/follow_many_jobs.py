"""Render three videos and follow all of them in one stream, as a dashboard or a backend would."""

import asyncio

from reelbase import AsyncReelbase, AttemptFailed, ElementSpec, ElementType, JobStatusChanged, StepCompleted


async def main() -> None:
    async with AsyncReelbase.from_env() as client, client.events.stream() as events:
        await events.start()  # from now on
        running = set()
        for name in ("one", "two", "three"):
            title = ElementSpec(type=ElementType.TEXT, text_content=name)
            made = await client.jobs.create_video("mp4", 320, 180, elements=[title], metadata={"name": name})
            running.add(made.job.id)

        async for event in events:
            match event:
                case AttemptFailed():
                    print(event.job_id, event.status, event.data.error_message)
                case JobStatusChanged():
                    print(event.job_id, event.status, event.data.output_url or "")
                case StepCompleted():
                    print(event.job_id, event.data.step, "took", event.data.duration_ms, "ms")
            if event.is_terminal and isinstance(event, JobStatusChanged):
                running.discard(event.job_id)
            if not running:
                break
        print(events.counts, "-", events.connection_state)


asyncio.run(main())
